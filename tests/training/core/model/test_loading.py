import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
)

from tests.support.chat_tokenizers import CHATML, chat_policy_write
from tests.support.documented import assert_said
from tests.support.tiny_models import (
    TEXTS,
    tiny_classifier,
    tiny_policy,
    tiny_policy_artifact,
    tiny_source,
)
from training.contracts import ModelSource
from training.core.data.batches import pad
from training.core.data.tokenizers import prompt_encode, word_tokenizer_learn
from training.core.model.loading import (
    classifier_load,
    classifier_load_path,
    dropout_disable,
    model_save,
    policy_load,
    policy_load_path,
)
from training.core.model.score_head import head_of
from training.core.run.errors import UserError
from training.digests import path_sha256


def test_fresh_policy_is_tiny_and_depends_on_its_seed_alone(tmp_path):
    before = torch.get_rng_state()
    one, two = (tiny_policy_artifact(tmp_path / name, seed=3) for name in "ab")
    assert torch.equal(before, torch.get_rng_state())
    assert path_sha256(one) == path_sha256(two)
    assert path_sha256(one) != path_sha256(tiny_policy_artifact(tmp_path / "c", seed=4))
    assert sum(p.numel() for p in tiny_policy().model.parameters()) < 100_000


def test_loading_and_saving_again_keeps_the_digest(tmp_path):
    path = tiny_policy_artifact(tmp_path / "a")
    (tmp_path / "b").mkdir()
    model_save(policy_load_path(path), tmp_path / "b")
    (tmp_path / "c").mkdir()
    model_save(policy_load_path(tmp_path / "b"), tmp_path / "c")
    assert path_sha256(tmp_path / "b") == path_sha256(tmp_path / "c")


def test_plain_transformers_loads_the_artifact_and_knows_where_to_stop(tmp_path):
    path = tiny_policy_artifact(tmp_path / "a")
    model = AutoModelForCausalLM.from_pretrained(path)
    tokenizer = policy_load_path(path).tokenizer
    assert model.generation_config.eos_token_id == [tokenizer.eos_token_id]
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id


def test_missing_pad_token_is_added_and_embeddings_grow(tmp_path):
    loaded = tiny_policy()
    loaded.tokenizer.pad_token = loaded.tokenizer.eos_token
    rows = loaded.model.get_input_embeddings().num_embeddings
    loaded.tokenizer.save_pretrained(tmp_path)
    loaded.model.save_pretrained(tmp_path)
    again = policy_load_path(tmp_path)
    assert again.pad_id not in again.end_ids
    assert again.model.get_input_embeddings().num_embeddings >= rows
    assert again.model.config.pad_token_id == again.pad_id


@pytest.mark.parametrize("architecture", ["llama", "bert"])
def test_head_is_drawn_as_stated_and_survives_a_reload(tmp_path, architecture):
    loaded = tiny_classifier(seed=1, architecture=architecture)
    head = head_of(loaded.model)
    generator = torch.Generator().manual_seed(1)
    expected = torch.randn(1, 16, generator=generator) / 17**0.5
    assert torch.allclose(head.weight, expected)
    model_save(loaded, tmp_path)
    again = classifier_load_path(tmp_path)
    assert torch.equal(head_of(again.model).weight, head.weight)
    state = again.model.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in loaded.model.state_dict().items())


def test_policy_becomes_the_backbone_of_a_reward_model(tmp_path):
    path = tiny_policy_artifact(tmp_path / "policy")
    loaded = classifier_load(ModelSource(kind="input", name="policy"), {"policy": path}, seed=2)
    policy = policy_load_path(path).model.state_dict()
    for name, value in loaded.model.model.state_dict().items():
        assert torch.equal(value, policy[f"model.{name}"])


def test_policy_is_not_a_trained_reward_model(tmp_path):
    path = tiny_policy_artifact(tmp_path / "policy")
    with pytest.raises(UserError, match=r"missing_keys: score\.weight"):
        classifier_load_path(path)


@pytest.mark.parametrize("architecture", ["llama", "bert"])
def test_score_depends_neither_on_batch_nor_on_padding(architecture):
    loaded = tiny_classifier(architecture=architecture)
    loaded.model.eval()
    rows = [loaded.tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]

    def score(rows):
        batch = pad(rows, loaded.pad_id)
        with torch.no_grad():
            output = loaded.model(input_ids=batch.ids, attention_mask=batch.mask.long())
        return output.logits.squeeze(1)

    together = score(rows)
    for i, row in enumerate(rows):
        assert abs(score([row])[0] - together[i]) < 1e-5


def test_encoder_without_a_chat_template_can_be_loaded(tmp_path):
    tokenizer = word_tokenizer_learn(TEXTS, limit=300)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    loaded = classifier_load(ModelSource(kind="pretrained", name=str(tmp_path)), {})
    assert loaded.model.config.num_labels == 1


def test_dropout_is_off_in_training_mode_too():
    config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=50)
    model = BertForSequenceClassification(config)
    dropout_disable(model)
    model.train()
    ids = torch.arange(10)[None]
    assert torch.equal(model(ids).logits, model(ids).logits)


def test_bad_sources_are_named(tmp_path):
    with pytest.raises(UserError, match="input 'base'; the spec has: policy"):
        policy_load(ModelSource(name="base"), {"policy": tmp_path})
    with pytest.raises(UserError, match=f"{tmp_path} holds no config"):
        policy_load_path(tmp_path)
    with pytest.raises(UserError, match="must be a llama"):
        policy_load(tiny_source(architecture="bert"), {})


def test_pickled_weights_are_not_read(tmp_path):
    loaded = tiny_policy()
    loaded.tokenizer.save_pretrained(tmp_path)
    loaded.model.config.save_pretrained(tmp_path)
    torch.save(loaded.model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="a format that can carry code"):
        policy_load_path(tmp_path)


TALK = [{"role": "user", "content": "What is a cat?"}]
THOUGHTLESS = {"enable_thinking": False}


def source_of(path, **settings):
    return ModelSource(kind="pretrained", name=str(path), chat_template_kwargs=settings)


def test_settings_of_the_template_are_served_as_they_were_trained_with(tmp_path):
    source = source_of(chat_policy_write(tmp_path / "base"), **THOUGHTLESS)
    policy = policy_load(source, {})
    ids = prompt_encode(policy.tokenizer, TALK)
    assert policy.tokenizer.decode(ids).endswith("assistant\n<think>\n\n</think>\n\n")
    (tmp_path / "policy").mkdir()
    model_save(policy, tmp_path / "policy")
    served = AutoTokenizer.from_pretrained(tmp_path / "policy")
    assert served.apply_chat_template(TALK, add_generation_prompt=True, return_dict=False) == ids
    assert prompt_encode(policy_load_path(tmp_path / "policy").tokenizer, TALK) == ids
    assert prompt_encode(classifier_load(source, {}).tokenizer, TALK) == ids


def test_a_template_that_asks_for_the_day_is_saved_with_one(tmp_path):
    dated = "{{ strftime_now('%d %b %Y') }}" + CHATML
    policy = policy_load_path(chat_policy_write(tmp_path / "base", dated))
    ids = prompt_encode(policy.tokenizer, TALK)
    assert policy.tokenizer.decode(ids).startswith("01 Jan 2025")
    (tmp_path / "policy").mkdir()
    model_save(policy, tmp_path / "policy")
    served = AutoTokenizer.from_pretrained(tmp_path / "policy")
    assert served.apply_chat_template(TALK, add_generation_prompt=True, return_dict=False) == ids


def test_settings_that_nothing_reads_are_refused(tmp_path):
    with pytest.raises(UserError, match="names 'enable_thinking'") as refusal:
        policy_load(source_of(tiny_policy_artifact(tmp_path / "plain"), **THOUGHTLESS), {})
    assert_said("unread template setting", str(refusal.value))
    with pytest.raises(UserError, match="names 'enable_thinking'"):
        policy_load(tiny_source(chat_template_kwargs=THOUGHTLESS), {}, texts=TEXTS)
    bare = chat_policy_write(tmp_path / "bare")
    (bare / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="are given, but the model has no chat template"):
        classifier_load(source_of(bare, **THOUGHTLESS), {})
