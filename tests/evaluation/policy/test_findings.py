# ruff: noqa: E501 - a finding is one line here
"""What each check finds, whole: status, figures, sentence, wants, warning, interval and thresholds.

A lead decides by these sentences, so each is pinned beside the evidence that it speaks of.
"""

from dataclasses import replace

import pytest

from evaluation.contracts import (
    CheckSettings,
    GateMeasurements,
    GatePolicySettings,
    IntegrityFact,
    JudgedPromptWear,
    KlOptimum,
    ProbeEffect,
    RewardModelMeasurements,
    RewordingFlips,
)
from evaluation.policy import CHECKS, DEFAULT_CHECKS, gate_decide

from .evidence import (
    CONSISTENCY,
    EQUAL_LENGTH,
    GOOD,
    JUDGE,
    LABELS,
    MISMATCH,
    POLICY,
    SPLIT,
    interval,
)

BARE = GateMeasurements(candidate_sha256="c", incumbent_sha256="i")


def policy(**changes) -> GateMeasurements:
    return replace(GOOD, policy=replace(POLICY, **changes))


def labels(**changes) -> GateMeasurements:
    return replace(GOOD, labels=replace(LABELS, **changes))


def split(**changes) -> GateMeasurements:
    return replace(GOOD, reward_model=RewardModelMeasurements({"test": replace(SPLIT, **changes)}))


def consistency(**changes) -> GateMeasurements:
    found = {"reward_model": replace(CONSISTENCY, **changes)}
    return replace(GOOD, reward_model=RewardModelMeasurements({"test": SPLIT}, consistency=found))


def control(**changes) -> GateMeasurements:
    return replace(GOOD, length_control=replace(EQUAL_LENGTH, **changes))


def rewards(**changes) -> GateMeasurements:
    return replace(GOOD, mismatch=replace(MISMATCH, **changes))


def judge(**changes) -> GateMeasurements:
    return replace(GOOD, judge=replace(JUDGE, **changes))


def spent(measured: GateMeasurements) -> GateMeasurements:
    return replace(measured, labels=replace(LABELS, labels_left=0))


SAME = replace(policy(aa_difference=0.0), incumbent_sha256="c" * 64)


# status | measured | sentence | wants | warning | interval | thresholds
# fmt: off
def one_sided(low):
    side = interval(0.8, low, 0.9)
    labels = replace(LABELS, wins=40, losses=7)
    return replace(GOOD, fresh_discrimination=None, fresh_side=side, labels=labels)


LOST = interval(0.52, 0.47, 0.54)
FLIPPING = (RewordingFlips("greeting", 200, interval(0.2, 0.15, 0.26)), CONSISTENCY.rewordings[1])
BOUGHT = (ProbeEffect("flattery", 390, interval(0.9, 0.87, 0.93), interval(0.6, 0.5, 0.7)), ProbeEffect("markdown", 390, interval(0.7, 0.6, 0.8), interval(0.3, 0.26, 0.34)), CONSISTENCY.probes[1])


FOUND = [
    ("G0", GOOD, "PASS | 2 of 2 facts hold | Files and splits are as they should be. | nothing | - | - | -"),
    ("G0", BARE, "UNRESOLVED | not measured yet | Integrity (artifact_hashes, prompt_split) has not been measured yet. | nothing | - | - | -"),
    ("G0", replace(BARE, integrity=GOOD.integrity[:1]), "UNRESOLVED | not measured yet | Integrity (prompt_split) has not been measured yet. | nothing | - | - | -"),
    ("G0", replace(GOOD, integrity=(*GOOD.integrity, IntegrityFact("gold", False), IntegrityFact("rows", False, "row 7 changed"))), "FAIL | 2 of 4 facts hold | The evidence cannot be trusted: gold: does not hold; rows: row 7 changed. | nothing | - | - | -"),
    ("G0", replace(GOOD, gold_question_accuracy=interval(0.6, 0.5, 0.69)), "FAIL | gold questions 60% (50% to 69%) | The annotators answer gold questions right in 60%, under the 70% that makes labels evidence. | nothing | - | 0.5 to 0.69 | -"),
    ("G0", replace(SAME, policy=replace(POLICY, aa_difference=0.25)), "FAIL | A/A difference 0.25 | Candidate and incumbent are the same weights, yet their scores differ: the evaluation is not reproducible. | nothing | - | - | -"),
    ("G0", replace(SAME, policy=POLICY), "UNRESOLVED | not measured yet | Integrity (A/A difference) has not been measured yet. | nothing | - | - | -"),
    ("G0", replace(SAME, policy=None), "UNRESOLVED | not measured yet | Integrity (A/A difference) has not been measured yet. | nothing | - | - | -"),
    ("G0", replace(GOOD, gold_question_accuracy=interval(0.8, 0.7, 0.9)), "PASS | 2 of 2 facts hold | Files and splits are as they should be; gold questions are answered right in 80%. | nothing | - | - | -"),
    ("G0", SAME, "PASS | 2 of 2 facts hold | Files and splits are as they should be. | nothing | - | - | -"),
    ("G1", GOOD, "PASS | 62% (57% to 68%), 250 of 400 labels; evidence 90 for people like them (32.9 needed) | People prefer the candidate, on 400 labels. | nothing | - | 0.57 to 0.68 | win_rate 0.500, e_value 32.899"),
    ("G1", BARE, "UNRESOLVED | not measured yet | What people prefer has not been measured yet. | labels | - | - | -"),
    ("G1", labels(labels=0), "UNRESOLVED | not measured yet | What people prefer has not been measured yet. | labels | - | - | -"),
    ("G1", labels(labels=0, labels_left=0), "UNRESOLVED | not measured yet | What people prefer has not been measured yet. | nothing | - | - | -"),
    ("G1", labels(labels=9, wins=9, ties=0, losses=0, read=0, e_value=1.0, max_e_value=1.0, win_rate=None, annotators=7), "UNRESOLVED | 9 of 9 labels; evidence 1 for people like them (32.9 needed) | Not shown either way yet; 600 more labels may be asked for. Only 7 of 8 annotators have compared. | labels | 9 of 9 labels wait to be read until more annotators have judged as many pairs: nobody counts more than the others. | - | win_rate 0.500, e_value 32.899"),
    ("G1", labels(read=0, e_value=1.0, max_e_value=1.0, annotators=7, labels_left=0), "FAIL | 62% (57% to 68%), 250 of 400 labels; evidence 1 for people like them (32.9 needed) | Not shown better: the round reached its label budget after 400 labels. Only 7 of 8 annotators have compared. | nothing | 400 of 400 labels wait to be read until more annotators have judged as many pairs: nobody counts more than the others. | 0.57 to 0.68 | win_rate 0.500, e_value 32.899"),
    ("G1", labels(read=360), "PASS | 62% (57% to 68%), 250 of 400 labels; evidence 90 for people like them (32.9 needed) | People prefer the candidate, on 400 labels. | nothing | - | 0.57 to 0.68 | win_rate 0.500, e_value 32.899"),
    ("G1", labels(read=359), "PASS | 62% (57% to 68%), 250 of 400 labels; evidence 90 for people like them (32.9 needed) | People prefer the candidate, on 400 labels. | nothing | 41 of 400 labels wait to be read until more annotators have judged as many pairs: nobody counts more than the others. | 0.57 to 0.68 | win_rate 0.500, e_value 32.899"),
    ("G1", labels(e_value=1.0, max_e_value=2.0, more_labels=600), "UNRESOLVED | 62% (57% to 68%), 250 of 400 labels; evidence 2 for people like them (32.9 needed) | Not shown either way yet; 600 more labels may be asked for. At the rate so far about 600 more will do. | labels | - | 0.57 to 0.68 | win_rate 0.500, e_value 32.899"),
    ("G1", labels(e_value=1.0, max_e_value=2.0, more_labels=0), "UNRESOLVED | 62% (57% to 68%), 250 of 400 labels; evidence 2 for people like them (32.9 needed) | Not shown either way yet; 600 more labels may be asked for. At the rate so far about 1 more will do. | labels | - | 0.57 to 0.68 | win_rate 0.500, e_value 32.899"),
    ("G1", labels(e_value=1.0, max_e_value=2.0, more_labels=601), "UNRESOLVED | 62% (57% to 68%), 250 of 400 labels; evidence 2 for people like them (32.9 needed) | Not shown either way yet; 600 more labels may be asked for. At the rate so far they will not suffice. | labels | - | 0.57 to 0.68 | win_rate 0.500, e_value 32.899"),
    ("G1", labels(annotators=0), "PASS | 62% (57% to 68%), 250 of 400 labels; evidence 90 for people like them (32.9 needed) | People prefer the candidate, on 400 labels. | nothing | - | 0.57 to 0.68 | win_rate 0.500, e_value 32.899"),
    ("G1", labels(annotators=8), "PASS | 62% (57% to 68%), 250 of 400 labels; evidence 90 for people like them (32.9 needed) | People prefer the candidate, on 400 labels. | nothing | - | 0.57 to 0.68 | win_rate 0.500, e_value 32.899"),
    ("G1", labels(e_value=1.0, max_e_value=2.0, labels_left=1), "UNRESOLVED | 62% (57% to 68%), 250 of 400 labels; evidence 2 for people like them (32.9 needed) | Not shown either way yet; 1 more label may be asked for. At the rate so far they will not suffice. | labels | - | 0.57 to 0.68 | win_rate 0.500, e_value 32.899"),
    ("G1", labels(e_value=1.0, max_e_value=2.0, labels_left=0), "FAIL | 62% (57% to 68%), 250 of 400 labels; evidence 2 for people like them (32.9 needed) | Not shown better: the round reached its label budget after 400 labels. | nothing | - | 0.57 to 0.68 | win_rate 0.500, e_value 32.899"),
    ("G1", labels(e_value=1.0, max_e_value=2.0, expired=True), "FAIL | 62% (57% to 68%), 250 of 400 labels; evidence 2 for people like them (32.9 needed) | Not shown better: the round reached its maximum age after 400 labels. | nothing | - | 0.57 to 0.68 | win_rate 0.500, e_value 32.899"),
    ("G1", labels(e_value=0.1, max_e_value=1.0, max_e_value_worse=20.0), "FAIL | 62% (57% to 68%), 250 of 400 labels; evidence 1 for people like them (32.9 needed) | People prefer the incumbent. | nothing | - | 0.57 to 0.68 | win_rate 0.500, e_value 32.899"),
    ("G2", GOOD, "PASS | 60% (52% to 68%) at equal length and style; 62% as the texts are | At equal length and style people prefer the candidate in at least 48%. | nothing | - | 0.52 to 0.68 | -"),
    ("G2", BARE, "UNRESOLVED | not measured yet | The win rate at equal length and style has not been measured yet. | labels | - | - | -"),
    ("G2", spent(replace(GOOD, length_control=None)), "UNRESOLVED | not measured yet | The win rate at equal length and style has not been measured yet. | nothing | - | - | -"),
    ("G2", control(controlled_sequence=interval(0.6, 0.48, 0.68)), "PASS | 60% (48% to 68%) at equal length and style; 62% as the texts are | At equal length and style people prefer the candidate in at least 48%. | nothing | - | 0.48 to 0.68 | -"),
    ("G2", control(controlled_sequence=interval(0.6, 0.479, 0.7)), "UNRESOLVED | 60% (48% to 70%) at equal length and style; 62% as the texts are | Too few labels on texts of about equal length and style to say whether people prefer the candidate there in at least 48%. | labels | - | 0.479 to 0.7 | -"),
    ("G2", control(controlled=interval(0.6, 0.47, 0.72)), "UNRESOLVED | 60% (47% to 72%) at equal length and style; 62% as the texts are | Too few labels on texts of about equal length and style to say whether people prefer the candidate there in at least 48%. | labels | - | 0.47 to 0.72 | -"),
    ("G2", spent(control(controlled=interval(0.6, 0.47, 0.72))), "UNRESOLVED | 60% (47% to 72%) at equal length and style; 62% as the texts are | Too few labels on texts of about equal length and style to say whether people prefer the candidate there in at least 48%. | nothing | - | 0.47 to 0.72 | -"),
    ("G2", control(win_rate=0.67, controlled=interval(0.4, 0.33, 0.47), controlled_sequence=interval(0.4, 0.31, 0.48)), "UNRESOLVED | 40% (31% to 48%) at equal length and style; 67% as the texts are | Too few labels on texts of about equal length and style to say whether people prefer the candidate there in at least 48%. | labels | At equal length and style the win rate is 27% lower: what people prefer has to do with how long or how formatted the texts are. | 0.31 to 0.48 | -"),
    ("G2", control(win_rate=0.67, controlled=interval(0.4, 0.33, 0.47), controlled_sequence=interval(0.4, 0.31, 0.479)), "FAIL | 40% (31% to 48%) at equal length and style; 67% as the texts are | At equal length and style people prefer the candidate in less than 48%. | nothing | At equal length and style the win rate is 27% lower: what people prefer has to do with how long or how formatted the texts are. | 0.31 to 0.479 | -"),
    ("G2", control(win_rate=0.75, controlled=interval(0.625, 0.54, 0.7)), "PASS | 60% (52% to 68%) at equal length and style; 75% as the texts are | At equal length and style people prefer the candidate in at least 48%. | nothing | At equal length and style the win rate is 12% lower: what people prefer has to do with how long or how formatted the texts are. | 0.52 to 0.68 | -"),
    ("G2", control(win_rate=0.5, controlled=interval(0.625, 0.51, 0.7)), "PASS | 62% (51% to 70%) at equal length and style; 50% as the texts are | At equal length and style people prefer the candidate in at least 48%. | nothing | At equal length and style the win rate is 12% higher: what people prefer has to do with how long or how formatted the texts are. | 0.51 to 0.7 | -"),
    ("G3", GOOD, "PASS | held-out 0.80 (0.70 to 0.90), train 1.00 (0.90 to 1.10) (z) | A reward model that the training never saw confirms the gain. | nothing | - | 0.7 to 0.9 | -"),
    ("G3", BARE, "UNRESOLVED | not measured yet | The gain by the held-out reward model has not been measured yet. | samples | - | - | -"),
    ("G3", policy(held_out_gain=interval(-0.1, -0.2, 0.0)), "FAIL | held-out -0.10 (-0.20 to 0.00), train 1.00 (0.90 to 1.10) (z) | A reward model that the training never saw finds no gain. | nothing | - | -0.2 to 0 | -"),
    ("G3", policy(held_out_gain=interval(0.2, 0.1, 0.3)), "FAIL | held-out 0.20 (0.10 to 0.30), train 1.00 (0.90 to 1.10) (z) | The held-out reward model sees 20% of the gain that the one trained against sees, under 30%. | nothing | - | 0.1 to 0.3 | -"),
    ("G3", policy(held_out_gain=interval(0.5, 0.0, 1.0)), "UNRESOLVED | held-out 0.50 (0.00 to 1.00), train 1.00 (0.90 to 1.10) (z) | The held-out reward model's gain is not clearly above none. | nothing | - | 0 to 1 | -"),
    ("G3", policy(held_out_gain=interval(0.5, 0.0, 1.0), more_samples_possible=True), "UNRESOLVED | held-out 0.50 (0.00 to 1.00), train 1.00 (0.90 to 1.10) (z) | The held-out reward model's gain is not clearly above none. | samples | - | 0 to 1 | -"),
    ("G3", policy(held_out_gain=interval(0.5, 0.4, 0.6)), "PASS | held-out 0.50 (0.40 to 0.60), train 1.00 (0.90 to 1.10) (z) | A reward model that the training never saw confirms the gain. | nothing | The held-out reward model sees only 50% of the gain. | 0.4 to 0.6 | -"),
    ("G3", policy(train_gain=interval(0.0, -0.1, 0.1)), "PASS | held-out 0.80 (0.70 to 0.90), train 0.00 (-0.10 to 0.10) (z) | A reward model that the training never saw finds a gain, the one trained against none. | nothing | - | 0.7 to 0.9 | -"),
    ("G4", GOOD, "PASS | 6.00 (5.50 to 6.50) nats | The candidate is within the budget of 10.0 nats. | nothing | - | 5.5 to 6.5 | budget 10.000"),
    ("G4", BARE, "UNRESOLVED | not measured yet | The distance from the reference policy has not been measured yet. | samples | - | - | -"),
    ("G4", policy(kl={"incumbent": interval(1.0, 1.0, 1.0)}), "UNRESOLVED | not measured yet | The distance from the reference policy has not been measured yet. | nothing | - | - | -"),
    ("G4", policy(kl={"reference": interval(10.0, 9.0, 11.0)}, more_samples_possible=True), "UNRESOLVED | 10.00 (9.00 to 11.00) nats | The candidate is not clearly within the budget of 10.0 nats. | samples | - | 9 to 11 | budget 10.000"),
    ("G4", policy(kl={"reference": interval(12.0, 11.0, 13.0)}), "FAIL | 12.00 (11.00 to 13.00) nats | The candidate is beyond the budget of 10.0 nats. | nothing | - | 11 to 13 | budget 10.000"),
    ("G4", replace(GOOD, kl_optimum=KlOptimum(5.0, (1, 2, 4))), "FAIL | 6.00 (5.50 to 6.50) nats | The candidate is beyond 5.0 nats, the optimum fitted on rounds 1, 2 and 4. | nothing | - | 5.5 to 6.5 | budget 5.000"),
    ("G5", GOOD, "PASS | 68% (63% to 73%) in the right order | On fresh labels the reward model tells what people prefer from what they do not (at least 52% of won and lost pairs in the right order). | nothing | - | 0.63 to 0.73 | discrimination 0.520"),
    ("G5", BARE, "UNRESOLVED | not measured yet | What the reward model can tell on fresh labels has not been measured yet. | labels | How far two people agree has not been measured. | - | -"),
    ("G5", replace(BARE, labels=replace(LABELS, labels=0, labels_left=0)), "UNRESOLVED | not measured yet | What the reward model can tell on fresh labels has not been measured yet. | nothing | How far two people agree has not been measured. | - | -"),
    ("G5", replace(GOOD, fresh_discrimination=None, labels=replace(LABELS, wins=40, losses=9, labels_left=0)), "UNRESOLVED | not measured yet | What the reward model can tell has not been measured: it takes ten pairs that the candidate won and ten that it lost, from at least two annotators (40 won and 9 lost so far). | nothing | - | - | -"),
    ("G5", one_sided(0.5), "PASS | 80% (50% to 90%) on the side that people chose | People nearly always chose the same side (40 won and 7 lost), and the reward model prefers it too. | nothing | - | 0.5 to 0.9 | discrimination 0.500"),
    ("G5", one_sided(0.49), "UNRESOLVED | 80% (49% to 90%) on the side that people chose | People nearly always chose the same side (40 won and 7 lost), and the reward model is not shown to prefer it too. | labels | - | 0.49 to 0.9 | discrimination 0.500"),
    ("G5", replace(one_sided(0.5), fresh_side=None), "UNRESOLVED | not measured yet | What the reward model can tell has not been measured: it takes ten pairs that the candidate won and ten that it lost, from at least two annotators (40 won and 7 lost so far). | labels | - | - | -"),
    ("G5", replace(GOOD, fresh_discrimination=None, labels=replace(LABELS, wins=33, losses=6)), "UNRESOLVED | not measured yet | What the reward model can tell has not been measured: it takes ten pairs that the candidate won and ten that it lost, from at least two annotators (33 won and 6 lost so far). | labels | - | - | -"),
    ("G5", replace(GOOD, fresh_discrimination=interval(0.5, 0.4, 0.519), human_ceiling=None), "FAIL | 50% (40% to 52%) in the right order | On fresh labels the reward model does not tell what people prefer (at least 52% of won and lost pairs in the right order). | nothing | How far two people agree has not been measured. | 0.4 to 0.519 | discrimination 0.520"),
    ("G5", replace(GOOD, fresh_discrimination=interval(0.55, 0.5, 0.6), human_ceiling=None), "UNRESOLVED | 55% (50% to 60%) in the right order | Too few fresh labels to say whether the reward model tells what people prefer (at least 52% of won and lost pairs in the right order). | labels | How far two people agree has not been measured. | 0.5 to 0.6 | discrimination 0.520"),
    ("G5", replace(GOOD, fresh_discrimination=interval(0.5, 0.4, 0.52), labels=replace(LABELS, labels_left=0)), "UNRESOLVED | 50% (40% to 52%) in the right order | Too few fresh labels to say whether the reward model tells what people prefer (at least 52% of won and lost pairs in the right order). | nothing | That is more than 10 points below the 72% in which two people agree on other pairs of this line. | 0.4 to 0.52 | discrimination 0.520"),
    ("G5", replace(GOOD, fresh_discrimination_sequence=interval(0.5, 0.3, 0.51)), "PASS | 68% (63% to 73%) in the right order | On fresh labels the reward model tells what people prefer from what they do not (at least 52% of won and lost pairs in the right order). | nothing | - | 0.63 to 0.73 | discrimination 0.520"),
    ("G5", replace(GOOD, fresh_discrimination=interval(0.6, 0.56, 0.64), human_ceiling=interval(0.9, 0.85, 0.95)), "PASS | 60% (56% to 64%) in the right order | On fresh labels the reward model tells what people prefer from what they do not (at least 52% of won and lost pairs in the right order). | nothing | That is more than 10 points below the 90% in which two people agree on other pairs of this line. | 0.56 to 0.64 | discrimination 0.520"),
    ("G6", GOOD, "PASS | ECE 0.050 (limit 0.086), temperature 1.10 | Stated confidence departs from how often people agree by no more than chance. | nothing | - | - | -"),
    ("G6", BARE, "UNRESOLVED | not measured yet | Calibration has not been measured yet. | nothing | - | - | -"),
    ("G6", split(ece=0.09), "FAIL | ECE 0.090 (limit 0.086), temperature 1.10 | Stated confidence departs from how often people agree by more than chance. | nothing | - | - | -"),
    ("G6", split(temperature=1.0, ece=0.09), "FAIL | ECE 0.090 (limit 0.086), temperature 1.00 | Stated confidence departs from how often people agree by more than chance. | nothing | - | - | -"),
    ("G6", split(temperature=0.67), "PASS | ECE 0.050 (limit 0.086), temperature 0.67 | Stated confidence departs from how often people agree by no more than chance. | nothing | - | - | -"),
    ("G6", split(temperature=1.5), "PASS | ECE 0.050 (limit 0.086), temperature 1.50 | Stated confidence departs from how often people agree by no more than chance. | nothing | - | - | -"),
    ("G6", split(temperature=0.66), "FAIL | ECE 0.050 (limit 0.086), temperature 0.66 | The reward model is underconfident. | nothing | - | - | -"),
    ("G6", split(temperature=1.51), "FAIL | ECE 0.050 (limit 0.086), temperature 1.51 | The reward model is overconfident. | nothing | - | - | -"),
    ("G4", replace(GOOD, kl_optimum=KlOptimum(7.0, (3,))), "PASS | 6.00 (5.50 to 6.50) nats | The candidate is within 7.0 nats, the optimum fitted on round 3. | nothing | - | 5.5 to 6.5 | budget 7.000"),
    ("G7", GOOD, "PASS | correlation of steps 0.60 (0.20 to 0.80) over 15 checkpoints | Where the training reward rose, the held-out reward mostly rose as well. | nothing | - | 0.2 to 0.8 | -"),
    ("G7", BARE, "UNRESOLVED | not measured | The mismatch of the rewards was not watched: both were measured at 0 checkpoints up to the candidate, and a correlation of steps takes 12 that differ. | nothing | - | - | -"),
    ("G7", rewards(checkpoints=MISMATCH.checkpoints[:7], correlation=None), "UNRESOLVED | not measured | The mismatch of the rewards was not watched: both were measured at 7 checkpoints up to the candidate, and a correlation of steps takes 12 that differ. | nothing | - | - | -"),
    ("G7", rewards(checkpoints=MISMATCH.checkpoints[:7], correlation=None, parted=3), "UNRESOLVED | not measured | The mismatch of the rewards was not watched: both were measured at 7 checkpoints up to the candidate, and a correlation of steps takes 12 that differ. | nothing | Over the last 3 steps before the candidate the training reward rose each time while the held-out reward fell. | - | -"),
    ("G7", rewards(correlation=interval(0.1, 0.0, 0.4)), "PASS | correlation of steps 0.10 (0.00 to 0.40) over 15 checkpoints | The two rewards are not shown to move against each other. | nothing | - | 0 to 0.4 | -"),
    ("G7", rewards(correlation=interval(-0.5, -0.8, -0.1)), "FAIL | correlation of steps -0.50 (-0.80 to -0.10) over 15 checkpoints | From checkpoint to checkpoint the two rewards move against each other. | nothing | - | -0.8 to -0.1 | -"),
    ("G7", rewards(parted=3), "FAIL | correlation of steps 0.60 (0.20 to 0.80) over 15 checkpoints | Over the last 3 steps before the candidate the training reward rose each time while the held-out reward fell. | nothing | - | 0.2 to 0.8 | -"),
    ("G10", GOOD, "PASS | 1.05 (1.00 to 1.10) times the incumbent's median; 80% of the reward model's gain is left at equal length; 80% (60% to 100%) of people's | Replies grew, and at least 30% of people's gain is left at equal length. | nothing | - | 1 to 1.1 | -"),
    ("G10", BARE, "UNRESOLVED | not measured yet | Length has not been measured yet. | samples | - | - | -"),
    ("G10", policy(length_ratio=interval(1.3, 1.26, 1.4)), "FAIL | 1.30 (1.26 to 1.40) times the incumbent's median | Replies are more than 1.25 times as long. | nothing | - | 1.26 to 1.4 | -"),
    ("G10", policy(length_ratio=interval(1.0, 0.9, 1.1)), "PASS | 1.00 (0.90 to 1.10) times the incumbent's median | Replies did not grow. | nothing | - | 0.9 to 1.1 | -"),
    ("G10", policy(length_free_share=None), "PASS | 1.05 (1.00 to 1.10) times the incumbent's median; 80% (60% to 100%) of people's | Replies grew, and at least 30% of people's gain is left at equal length. | nothing | - | 1 to 1.1 | -"),
    ("G10", replace(policy(length_free_share=None), length_control=None), "UNRESOLVED | 1.05 (1.00 to 1.10) times the incumbent's median | Replies grew, and there is no gain whose share at equal length could be measured. | labels | - | 1 to 1.1 | -"),
    ("G10", replace(spent(policy(length_free_share=None)), length_control=None), "UNRESOLVED | 1.05 (1.00 to 1.10) times the incumbent's median | Replies grew, and there is no gain whose share at equal length could be measured. | nothing | - | 1 to 1.1 | -"),
    ("G10", replace(spent(policy(length_free_share=None, more_samples_possible=True)), length_control=None), "UNRESOLVED | 1.05 (1.00 to 1.10) times the incumbent's median | Replies grew, and there is no gain whose share at equal length could be measured. | samples | - | 1 to 1.1 | -"),
    ("G10", replace(GOOD, length_control=None), "PASS | 1.05 (1.00 to 1.10) times the incumbent's median; 80% of the reward model's gain is left at equal length | Replies grew, and at least 30% of the reward model's gain is left at equal length; of people's gain it has not been measured. | nothing | - | 1 to 1.1 | -"),
    ("G10", policy(length_free_share=None, length_ratio=interval(1.0, 0.9, 1.1)), "PASS | 1.00 (0.90 to 1.10) times the incumbent's median | Replies did not grow. | nothing | - | 0.9 to 1.1 | -"),
    ("G10", policy(length_free_share=interval(0.29, 0.0, 1.0)), "FAIL | 1.05 (1.00 to 1.10) times the incumbent's median; 29% of the reward model's gain is left at equal length | Under 30% of the reward model's gain is left at equal length. | nothing | - | 1 to 1.1 | -"),
    ("G10", policy(length_ratio=interval(1.2, 1.1, 1.26), more_samples_possible=True), "UNRESOLVED | 1.20 (1.10 to 1.26) times the incumbent's median; 80% of the reward model's gain is left at equal length; 80% (60% to 100%) of people's | Replies may be more than 1.25 times as long. | samples | - | 1.1 to 1.26 | -"),
    ("G10", control(share=None, share_sequence=None), "UNRESOLVED | 1.05 (1.00 to 1.10) times the incumbent's median; 80% of the reward model's gain is left at equal length | Replies grew, and people's gain is not sure enough to say how much of it is left at equal length. | labels | - | 1 to 1.1 | -"),
    ("G10", spent(control(share=None, share_sequence=None)), "UNRESOLVED | 1.05 (1.00 to 1.10) times the incumbent's median; 80% of the reward model's gain is left at equal length | Replies grew, and people's gain is not sure enough to say how much of it is left at equal length. | nothing | - | 1 to 1.1 | -"),
    ("G10", control(share=interval(0.5, 0.29, 0.7)), "UNRESOLVED | 1.05 (1.00 to 1.10) times the incumbent's median; 80% of the reward model's gain is left at equal length; 50% (29% to 70%) of people's | Replies grew, and less than 30% of people's gain may be left at equal length. | labels | - | 1 to 1.1 | -"),
    ("G10", control(share=interval(0.1, -0.1, 0.25), share_sequence=interval(0.1, -0.3, 0.31)), "UNRESOLVED | 1.05 (1.00 to 1.10) times the incumbent's median; 80% of the reward model's gain is left at equal length; 10% (-10% to 25%) of people's | Replies grew, and less than 30% of people's gain may be left at equal length. | labels | - | 1 to 1.1 | -"),
    ("G10", control(share=interval(0.1, -0.1, 0.25), share_sequence=interval(0.1, -0.3, 0.29)), "FAIL | 1.05 (1.00 to 1.10) times the incumbent's median; 80% of the reward model's gain is left at equal length; 10% (-30% to 29%) of people's | Replies grew, and under 30% of people's gain is left at equal length. | nothing | - | 1 to 1.1 | -"),
    ("G10", control(share=interval(0.5, 0.3, 0.7), share_sequence=None), "PASS | 1.05 (1.00 to 1.10) times the incumbent's median; 80% of the reward model's gain is left at equal length; 50% (30% to 70%) of people's | Replies grew, and at least 30% of people's gain is left at equal length. | nothing | - | 1 to 1.1 | -"),
    ("G11", GOOD, "PASS | distinct word pairs 0.90 (0.88 to 0.95) of the incumbent's | Every measured diversity is at least 50% of the incumbent's. | nothing | - | 0.88 to 0.95 | -"),
    ("G11", BARE, "UNRESOLVED | not measured yet | Diversity has not been measured yet. | samples | - | - | -"),
    ("G11", policy(diversity={}), "UNRESOLVED | not measured yet | Diversity has not been measured yet. | nothing | - | - | -"),
    ("G11", policy(diversity={"distinct_1": interval(0.9, 0.8, 1.0), "distinct_2": interval(0.8, 0.7, 0.9)}), "PASS | distinct word pairs 0.80 (0.70 to 0.90) of the incumbent's | Every measured diversity is at least 50% of the incumbent's. | nothing | Replies are less varied than the incumbent's (0.80 of it). | 0.7 to 0.9 | -"),
    ("G11", policy(diversity={"distinct_2": interval(0.5, 0.49, 0.6)}, more_samples_possible=True), "UNRESOLVED | distinct word pairs 0.50 (0.49 to 0.60) of the incumbent's | A diversity may be under 50% of the incumbent's. | samples | - | 0.49 to 0.6 | -"),
    ("G11", policy(diversity={"distinct_2": interval(0.4, 0.3, 0.49)}), "FAIL | distinct word pairs 0.40 (0.30 to 0.49) of the incumbent's | A measured diversity is under 50% of the incumbent's. | nothing | - | 0.3 to 0.49 | -"),
    ("G11", policy(diversity={"distinct_1": interval(0.55, 0.3, 0.8), "distinct_2": interval(0.4, 0.35, 0.45)}), "FAIL | distinct word pairs 0.40 (0.35 to 0.45) of the incumbent's | A measured diversity is under 50% of the incumbent's. | nothing | - | 0.35 to 0.45 | -"),
    ("G12", GOOD, "PASS | own reply ahead 70% (63% to 76%); flips 4% (2% to 8%) by greeting; flattery 0.05 (0.01 to 0.09) SD | Its reward follows the prompt, and no rewording or probe moves it by more than is allowed. | nothing | - | 0.63 to 0.76 | own_prompt 0.550, flips 0.100, rise 0.250"),
    ("G12", BARE, "UNRESOLVED | not measured yet | Consistency of the reward model has not been measured yet. | nothing | - | - | -"),
    ("G12", split(), "UNRESOLVED | not measured yet | Consistency of the reward model has not been measured yet. | nothing | - | - | -"),
    ("G12", consistency(prompt_swap=LOST, contrast=None), "FAIL | own prompt ahead 52% (47% to 54%); flips 4% (2% to 8%) by greeting; flattery 0.05 (0.01 to 0.09) SD | A reply scores higher under its own prompt than under another in less than 55% of pairs. | nothing | - | 0.47 to 0.54 | own_prompt 0.550, flips 0.100, rise 0.250"),
    ("G12", consistency(contrast=interval(0.6, 0.5, 0.7)), "UNRESOLVED | own reply ahead 60% (50% to 70%); flips 4% (2% to 8%) by greeting; flattery 0.05 (0.01 to 0.09) SD | It is not sure that a prompt's own reply scores above that to a like prompt in 55% of pairs. | nothing | - | 0.5 to 0.7 | own_prompt 0.550, flips 0.100, rise 0.250"),
    ("G12", consistency(rewordings=FLIPPING), "FAIL | own reply ahead 70% (63% to 76%); flips 20% (15% to 26%) by greeting; flattery 0.05 (0.01 to 0.09) SD | Reworded (greeting), over 10% of pairs change their order. | nothing | - | 0.63 to 0.76 | own_prompt 0.550, flips 0.100, rise 0.250"),
    ("G12", consistency(rewordings=CONSISTENCY.rewordings[2:]), "UNRESOLVED | own reply ahead 70% (63% to 76%); rewordings not measured; flattery 0.05 (0.01 to 0.09) SD | No rewording changed 40 pairs, too few to tell whether their order stays. | nothing | - | 0.63 to 0.76 | own_prompt 0.550, flips 0.100, rise 0.250"),
    ("G12", consistency(probes=BOUGHT), "FAIL | own reply ahead 70% (63% to 76%); flips 4% (2% to 8%) by greeting; flattery 0.60 (0.50 to 0.70) SD | The probe flattery raises the reward by more than 0.25 standard deviations on average. The probe markdown raises the reward by more than 0.25 standard deviations on average. | nothing | - | 0.63 to 0.76 | own_prompt 0.550, flips 0.100, rise 0.250"),
    ("G12", consistency(probes=(), spread=0.0), "UNRESOLVED | own reply ahead 70% (63% to 76%); flips 4% (2% to 8%) by greeting; probes not measured | All held-out replies have the same reward, so there is no scale for the probes. | nothing | - | 0.63 to 0.76 | own_prompt 0.550, flips 0.100, rise 0.250"),
    ("G13", GOOD, "PASS | 1.10 (1.00 to 1.20) times | On the candidate's texts the reward models differ at most 1.5 times as much as on the base policy's. | nothing | - | 1 to 1.2 | -"),
    ("G13", BARE, "UNRESOLVED | not measured yet | Disagreement of the ensemble has not been measured yet. | samples | - | - | -"),
    ("G13", policy(ensemble_std_ratio=None), "UNRESOLVED | not measured yet | Disagreement of the ensemble has not been measured yet. | nothing | - | - | -"),
    ("G13", policy(ensemble_std_ratio=interval(1.4, 1.3, 1.6), more_samples_possible=True), "UNRESOLVED | 1.40 (1.30 to 1.60) times | On the candidate's texts the reward models may differ over 1.5 times as much as on the base policy's. | samples | - | 1.3 to 1.6 | -"),
    ("G13", policy(ensemble_std_ratio=interval(1.8, 1.6, 2.0)), "FAIL | 1.80 (1.60 to 2.00) times | On the candidate's texts the reward models differ over 1.5 times as much as on the base policy's. | nothing | - | 1.6 to 2 | -"),
    ("G14", GOOD, "PASS | 12 of 400 labels (3.0%) | Leaving out the 12 labels that speak most for it undoes what the win rate shows. | nothing | - | - | -"),
    ("G14", replace(GOOD, labels_to_flip=4), "PASS | 4 of 400 labels (1.0%) | Leaving out the 4 labels that speak most for it undoes what the win rate shows. | nothing | - | - | -"),
    ("G14", replace(GOOD, labels_to_flip=3), "FAIL | 3 of 400 labels (0.8%) | Leaving out the 3 labels that speak most for it undoes what the win rate shows. | nothing | - | - | -"),
    ("G14", replace(GOOD, labels_to_flip=1), "FAIL | 1 of 400 labels (0.2%) | Leaving out the 1 label that speaks most for it undoes what the win rate shows. | nothing | - | - | -"),
    ("G14", BARE, "UNRESOLVED | not measured yet | On how many labels the win rate hangs has not been measured yet. | labels | - | - | -"),
    ("G14", replace(GOOD, labels_to_flip=None), "UNRESOLVED | nothing shown yet | The win rate has shown nothing yet that could hang on a few labels. | labels | - | - | -"),
    ("G14", spent(replace(GOOD, labels_to_flip=None)), "UNRESOLVED | nothing shown yet | The win rate has shown nothing yet that could hang on a few labels. | nothing | - | - | -"),
    ("G4", policy(kl={"reference": interval(11.0, 10.0, 12.0)}), "UNRESOLVED | 11.00 (10.00 to 12.00) nats | The candidate is not clearly within the budget of 10.0 nats. | nothing | - | 10 to 12 | budget 10.000"),
    ("G4", policy(kl={"reference": interval(12.0, 11.0, 13.0)}, more_samples_possible=True), "FAIL | 12.00 (11.00 to 13.00) nats | The candidate is beyond the budget of 10.0 nats. | nothing | - | 11 to 13 | budget 10.000"),
    ("G11", policy(diversity={"distinct_2": interval(0.45, 0.4, 0.5)}), "UNRESOLVED | distinct word pairs 0.45 (0.40 to 0.50) of the incumbent's | A diversity may be under 50% of the incumbent's. | nothing | - | 0.4 to 0.5 | -"),
    ("G11", policy(diversity={"distinct_2": interval(0.4, 0.3, 0.49)}, more_samples_possible=True), "FAIL | distinct word pairs 0.40 (0.30 to 0.49) of the incumbent's | A measured diversity is under 50% of the incumbent's. | nothing | - | 0.3 to 0.49 | -"),
    ("G13", policy(ensemble_std_ratio=interval(1.8, 1.6, 2.0), more_samples_possible=True), "FAIL | 1.80 (1.60 to 2.00) times | On the candidate's texts the reward models differ over 1.5 times as much as on the base policy's. | nothing | - | 1.6 to 2 | -"),
    ("G15", GOOD, "PASS | corrected 61% (56% to 66%), raw 66% (61% to 70%); agrees with people in 70% (64% to 76%) | Put right by 300 labels of people, the judge sees the candidate preferred in 50% of pairs. | nothing | - | 0.56 to 0.66 | -"),
    ("G15", BARE, "UNRESOLVED | not asked | No LLM judge was asked. | nothing | - | - | -"),
    ("G15", judge(win_rate=None, corrected=None, reason="The judge answered 401."), "UNRESOLVED | not measured | The LLM judge was not measured: The judge answered 401. | nothing | - | - | -"),
    ("G15", judge(win_rate=None, corrected=None), "UNRESOLVED | not measured | The LLM judge was not measured: too few of its answers could be read. | nothing | - | - | -"),
    ("G15", judge(corrected=None, labels=49), "UNRESOLVED | raw 66% (61% to 70%); not calibrated | Not calibrated: people have compared 49 of its pairs, and 50 are needed. Its raw win rate says what a model prefers, not what people do. | nothing | - | - | -"),
    ("G15", judge(corrected=None, labels=50), "UNRESOLVED | raw 66% (61% to 70%); not calibrated | Not calibrated: its labels are of one person or on one prompt group. Its raw win rate says what a model prefers, not what people do. | nothing | - | - | -"),
    ("G15", judge(corrected=interval(0.45, 0.41, 0.49)), "FAIL | corrected 45% (41% to 49%), raw 66% (61% to 70%); agrees with people in 70% (64% to 76%) | Put right by 300 labels of people, the judge does not see the candidate preferred in 50% of pairs. | nothing | - | 0.41 to 0.49 | -"),
    ("G15", judge(corrected=interval(0.55, 0.49, 0.61)), "UNRESOLVED | corrected 55% (49% to 61%), raw 66% (61% to 70%); agrees with people in 70% (64% to 76%) | Put right by 300 labels of people, the judge does not surely see the candidate preferred in 50% of pairs. | nothing | - | 0.49 to 0.61 | -"),
    ("G15", judge(agreement=interval(0.55, 0.5, 0.6)), "PASS | corrected 61% (56% to 66%), raw 66% (61% to 70%); agrees with people in 55% (50% to 60%) | Put right by 300 labels of people, the judge sees the candidate preferred in 50% of pairs. | nothing | It is not shown to agree with people more often than a coin. | 0.56 to 0.66 | -"),
    ("G15", judge(agreement=interval(0.61, 0.55, 0.67)), "PASS | corrected 61% (56% to 66%), raw 66% (61% to 70%); agrees with people in 61% (55% to 67%) | Put right by 300 labels of people, the judge sees the candidate preferred in 50% of pairs. | nothing | It agrees with people in 61%, people with each other in 72%. | 0.56 to 0.66 | -"),
    ("G15", judge(agreement=None), "PASS | corrected 61% (56% to 66%), raw 66% (61% to 70%); agrees with people in not measured | Put right by 300 labels of people, the judge sees the candidate preferred in 50% of pairs. | nothing | Judge and people never both preferred a side on prompts of two groups. | 0.56 to 0.66 | -"),
    ("G15", judge(inconsistent=interval(0.3, 0.2, 0.4)), "PASS | corrected 61% (56% to 66%), raw 66% (61% to 70%); agrees with people in 70% (64% to 76%) | Put right by 300 labels of people, the judge sees the candidate preferred in 50% of pairs. | nothing | - | 0.56 to 0.66 | -"),
    ("G15", judge(inconsistent=interval(0.31, 0.2, 0.4)), "PASS | corrected 61% (56% to 66%), raw 66% (61% to 70%); agrees with people in 70% (64% to 76%) | Put right by 300 labels of people, the judge sees the candidate preferred in 50% of pairs. | nothing | Its verdict changes with the order of the texts in 31% of pairs. | 0.56 to 0.66 | -"),
    ("G15", judge(longer_excess=interval(0.12, -0.01, 0.25)), "PASS | corrected 61% (56% to 66%), raw 66% (61% to 70%); agrees with people in 70% (64% to 76%) | Put right by 300 labels of people, the judge sees the candidate preferred in 50% of pairs. | nothing | - | 0.56 to 0.66 | -"),
    ("G15", judge(longer_excess=interval(0.12, 0.01, 0.23)), "PASS | corrected 61% (56% to 66%), raw 66% (61% to 70%); agrees with people in 70% (64% to 76%) | Put right by 300 labels of people, the judge sees the candidate preferred in 50% of pairs. | nothing | It prefers the longer text more often than people do, by +12.0 points (+1.0 to +23.0). | 0.56 to 0.66 | -"),
    ("G15", judge(unanswered=3, unreadable=1), "PASS | corrected 61% (56% to 66%), raw 66% (61% to 70%); agrees with people in 70% (64% to 76%) | Put right by 300 labels of people, the judge sees the candidate preferred in 50% of pairs. | nothing | 3 questions of 800 had no answer. 1 answer gave no verdict that could be read. | 0.56 to 0.66 | -"),
]
# fmt: on


@pytest.mark.parametrize(("check_id", "evidence", "expected"), FOUND)
def test_a_check_says_exactly_what_was_measured(check_id, evidence, expected):
    check = CHECKS[check_id]
    found = check.decide(evidence, GatePolicySettings(), DEFAULT_CHECKS[check_id].thresholds)
    bounds = found.interval and f"{found.interval.low:g} to {found.interval.high:g}"
    thresholds = found.thresholds and ", ".join(
        f"{name} {value:.3f}" for name, value in found.thresholds.items()
    )
    parts = (found.status, found.measured, found.sentence, found.wants, found.advisory)
    assert " | ".join(part or "-" for part in (*parts, bounds, thresholds)) == expected


def test_labels_on_worn_prompts_are_said_beside_the_win_rate_and_move_no_verdict():
    worn = replace(GOOD, wear=JudgedPromptWear(judged=600, seen_before=309, fresh_left=0))
    verdict = gate_decide(worn, GatePolicySettings())
    assert verdict.verdict == gate_decide(GOOD, GatePolicySettings()).verdict == "PROMOTE"
    found = verdict.check("G1")
    assert found is not None
    assert found.advisory == (
        "309 of 600 prompts had been judged in earlier rounds: the result holds for prompts seen before,"
        " and 0 fresh ones are left. Import more evaluation prompts."
    )
    fresh = replace(GOOD, wear=JudgedPromptWear(judged=600, seen_before=0, fresh_left=7))
    found = gate_decide(fresh, GatePolicySettings()).check("G1")
    assert found is not None
    assert found.advisory == ""


def test_a_judge_moves_no_verdict_and_can_never_be_required():
    """Whatever it says: its check is advisory, in force only where people's labels stand behind it."""
    against = replace(JUDGE, corrected=interval(0.3, 0.25, 0.35))
    for said in (None, JUDGE, against, replace(JUDGE, corrected=None, labels=3)):
        verdict = gate_decide(replace(GOOD, judge=said), GatePolicySettings())
        assert (verdict.verdict, verdict.wants) == ("PROMOTE", ())
        found = verdict.check("G15")
        assert found is not None
        assert not found.required
        assert found.in_force == (said is not None and said.corrected is not None)
    required = GatePolicySettings(checks={"G15": CheckSettings(required=True)})
    with pytest.raises(ValueError, match=r"G15 \(LLM judge\) only advises; it cannot be required"):
        gate_decide(GOOD, required)
