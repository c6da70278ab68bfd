"""How texts name the model or the maker that wrote them, by language: names, and the phrases around them.

Regular expressions over folded text (see `identity`): lower case, one alphabet, nothing unseen. A phrase is
one with which a text speaks of itself; what may stand between it and the name is FILLER.
"""

from __future__ import annotations

# Names that mean a model or a maker of models and little else.
PLAIN_NAMES = (
    r"(?:chat[- ]?)?gpt[- ]?\d[a-z0-9_.]*(?:[- ](?:turbo|mini|nano|pro|preview))*",
    r"chat[- ]?gpt", r"yandex[- ]?gpt", r"giga[- ]?chat", r"le chat", r"open[- ]?ai", r"anthropic",
    r"deep[- ]?seek", r"deep[- ]?mind", r"google deep[- ]?mind", r"qwen", r"tongyi(?: qianwen)?", r"code ?llama",
    r"llama[- ]?\d[\d.]*", r"vicuna", r"mi[sx]tral ai", r"mi[sx]tral[- ](?:\d+b|large|small|medium|nemo)",
    r"mixtral", r"gemma", r"phi-?\d[\d.]*", r"bloomz?", r"pythia", r"olmo", r"grok", r"copilot", r"cohere",
    r"command[- ]r\+?", r"yi-\d+b", r"ernie(?: bot)?", r"nemotron", r"smollm\d?", r"hugging ?face",
    r"stability ai", r"moonshot ai", r"\bxai\b",
    r"claude[- ]?(?:\d[\d.]*(?: (?:opus|sonnet|haiku))?|opus|sonnet|haiku)",
    r"gemini[- ](?:\d[\d.]*|pro|ultra|flash|nano)(?:[- ](?:pro|flash|ultra))?", r"alibaba cloud", r"meta ai",
    "чатгпт", "чат гпт", "гигачат", "文心一言", "通义千问", "通義千問", "讯飞星火", "智谱清言", "深度求索",
    "月之暗面", "阿里云", "阿里雲", "チャットgpt", "オープンai", "클로바x", "오픈ai", "شات جي بي تي", "أوبن إيه آي",
    "चैटजीपीटी", "ओपनएआई",
)  # fmt: skip
# Names that mean much else as well: a painter, a wind, a search engine.
OTHER_NAMES = (
    "claude", "gemini", "bard", "palm", "llama", "alpaca", "mistral", "falcon", "zephyr", "granite", "dolly",
    "kimi", "google", "meta", "microsoft", "alibaba", "nvidia", "ibm", "baidu", "amazon", "apple", "naver",
    "yandex", r"сбер\w*", r"яндекс\w*", "百度", "谷歌", "微软", "阿里巴巴", "豆包", "腾讯", "字节跳动", "グーグル",
    "구글", "네이버", "카카오", "جوجل", "गूगल",
)  # fmt: skip
# A file of weights: a name with a version or a size.
ARTIFACT = (
    r"(?<![a-z0-9_.-])[a-z][a-z0-9_.-]{0,60}?[-_ ]?v\d+(?:\.\d+)*(?:[-_][a-z0-9_-]*)?"
    r"|(?<![a-z0-9_.-])[a-z][a-z0-9_.-]{0,60}?[-_]\d+(?:\.\d+)?[bm](?![a-z0-9])(?:[-_][a-z0-9_-]*)?"
)

# "I am": the name follows, or a word of FILLER does.
SELF = (
    r"i ?am|i'm|my (?:name|version|creators?|developers?|makers?)(?:'s)?|call me|i go by|they call me"
    r"|you(?: are|'re) (?:talking|speaking|chatting) (?:to|with)|this is|it's me|i was|i have been|i've been"
    r"|(?:being|since i'm|hello from|hi from|greetings from)|the model (?:answering|writing|behind) this(?: is)?",
    r"soy|me llamo|mi nombre es|te habla|est[aá]s hablando con|(?:yo )?fui|he sido",
    r"je suis|je m'appelle|mon nom est|moi,? c'est|vous parlez (?:à|avec)|tu parles (?:à|avec)|j'ai été",
    r"ich bin|ich hei(?:ß|ss)e|mein name ist|(?:du|sie) (?:sprichst|sprechen) mit|ich wurde|hier spricht",
    r"(?:eu )?sou|me chamo|chamo-me|(?:o )?meu nome é|você está falando com|(?:eu )?fui",
    r"sono stat[oa]|sono|mi chiamo|il mio nome è|stai parlando con",
    r"ik ben|ik heet|mijn naam is|je praat met|ik werd",
    r"jestem|nazywam się|mam na imię|rozmawiasz z|zosta(?:łem|łam)",
    r"меня зовут|мо[её] имя|это говорит|вы говорите с|я был[аи]?|мене звати|я\s*[-—–]",
    r"我是|我叫|我的名字(?:是|叫)|本人是|我由|我被",
    r"私の名前は|わたしの名前は|제 이름은|내 이름은|اسمي|أدعى|मेरा नाम|benim adım|adım",
    r"jag är|jag heter|mitt namn är|tôi là|mình là|tên tôi là|tôi được|saya adalah|nama saya(?: adalah)?"
    r"|jmenuji se|jsem|mé jméno je|byl[ao]? jsem",
)
# "I" without a verb: the name must be all there is to it (END follows), or an origin is told.
BARE = r"я|私は|わたしは|僕は|저는|나는|أنا|إنني|मैं|मुझे|ben|saya|tôi|меня|こんにちは、"
# "as": at the start of a sentence, the name and a comma or the first person.
AS = (
    r"as|como|en tant que|als|come|in quanto|jako|как|як|作为|作為|som|với tư cách là|sebagai|بصفتي"
)
AS_END = r"\s*(?:[,،、，]|i\b|puedo\b|je\b|kan\b|habe\b|kann\b|bin\b|non\b|nie\b|não\b|我)"
# What ends "I, NAME".
END = (
    r"\s*(?:[,.،、，。!！;:()\[\]—–]|$|-(?:\s|$)|です|でした|だ\b|と申し|といい|である|で、|입니다|이에요|예요|이고|라고|이라는"
    r"|हूँ|हूं|'y?[iuü]m\b)"
)
# The name comes first: "NAMEと申します", "저는 NAME", "NAME olarak", "Grok here".
NAME_FIRST = (
    r"\s*(?:と申します|といいます|として、?お答え|として|로서|olarak\b|olarak,"
    r"|,? (?:here|speaking|at your service|à votre service)\b[,.!]?)"
)
ORIGIN = (
    r"(?:fine-?)?(?:trained|tuned|created|developed|made|built|designed|powered|produced|engineered|programmed)"
    r" (?:by|at|on|from)",
    r"(?:entrenad|cread|desarrollad|diseñad|hech|construid)[oa] por",
    r"(?:entra[iî]n|cré|développ|conçu|fabriqu)\w* par",
    r"durch",
    r"(?:treinad|criad|desenvolvid|feit|projetad)[oa] (?:pel[ao]|por)",
    r"(?:addestrat|creat|sviluppat|progettat|realizzat)[oa] da(?:lla|l)?",
    r"(?:getraind|gemaakt|ontwikkeld|gebouwd) door",
    r"(?:stworzon|wytrenowan|opracowan|szkolon)\w* przez",
    r"(?:созда|разработа|обуч|натренирова)\w*",
    r"由|被|من قبل|بواسطة|على يد|من تطوير|طورته|طورتني|دربتني",
    r"(?:tränad|utvecklad|skapad) av|(?:dilatih|dikembangkan|dibuat|diciptakan) oleh",
    r"(?:phát triển|huấn luyện|tạo ra|đào tạo) bởi|(?:vyvinut|vytvořen|trénován)\w*",
)
# "Of": nothing but fillers may stand before it.
WEAK_ORIGIN = r"from|of|de|von|di|van|від|от"
# The origin after the name: "von NAME entwickelt", "NAMEによって訓練".
ORIGIN_AFTER = (
    r"\s*(?:entwickelt|trainiert|geschaffen|erstellt|gebaut|的?(?:团队|公司|科技有限公司)?(?:开发|训练|研发|创建|打造|推出|開發|訓練)"
    r"|(?:によって|により|が|に)(?:訓練|開発|作|学習|トレーニング)"
    r"|(?:에서|이|가|의|에 의해)\s?(?:개발|훈련|만든|만들|학습|제작)"
    r"|(?:द्वारा|ने)\s(?:बनाया|विकसित|प्रशिक्षित)|tarafından (?:geliştiril|eğitil|yaratıl|oluşturul)"
    r"|phát triển|huấn luyện|tạo ra|trained me|(?:created|made|built|developed) me)"
)
# Of these the origin alone speaks of the text itself: "I was trained", in the verb.
ORIGIN_OF_ME = (
    r"(?:تم )?(?:تطويري|تدريبي|إنشائي|تصميمي|برمجتي)(?: من قبل| بواسطة| على يد| لدى)?|طورتني|دربتني"
)
ME_AFTER = (
    r"\s*(?:trained me|(?:created|made|built|developed) me"
    r"|tarafından (?:eğitildim|geliştirildim|oluşturuldum|yaratıldım))"
)
# Words between the phrase and the name that change nothing.
_FILLER = """
a an the ai assistant assistants chatbot bot language large model models virtual helpful friendly called
named known as by team at company lab of family and based on version is are an't not trained
un una el la los las modelo lenguaje asistente inteligencia artificial llamado llamada ia virtual grande de
le les un une modèle langage assistant intelligence artificielle appelé grand
ein eine der die das den dem ein sprachmodell ki assistent ki-assistent großes namens
o os as um uma linguagem linguagem assistente inteligência grande chamado
il lo gli uno modello linguistico assistente intelligenza artificiale grande chiamato
een het taalmodel ai-assistent groot genaamd
model językowy asystent duży stworzony sztucznej inteligencji
языковая модель большая ассистент помощник компания компанией командой искусственный интеллект мовна
en ett språkmodell stor assistent
một mô hình ngôn ngữ lớn do model bahasa besar yang asisten oleh
jazykový model velký asistent společností
نموذج لغوي كبير مساعد ذكي شركة यह एक भाषा मॉडल बड़ा bir dil modeli
인공지능 언어 모델 大型语言模型 语言模型 人工智能助手 智能助手 公司
"""
FILLER = frozenset(_FILLER.split())
ORIGIN_WORDS = 3  # so many others may stand between "I am" and "made by"
# The head of a text, or its end, that says who wrote it.
TITLE = (
    r"(?:'s|’s)?\s*(?:answer|response|reply|says|respuesta|réponse|antwort|resposta|risposta|antwoord|odpowiedź|ответ"
    r"|的?回答|の回答|답변)?"
)
MADE_WITH = (
    r"(?:answer(?:ed)?|response|reply|written|generated|powered|created|produced|provided|signed)(?: by| with| from)"
    r"|(?:respuesta|generado|escrito) (?:de|por|con)|(?:réponse|généré|écrit) (?:de|par|avec)"
    r"|(?:antwort|erstellt|generiert|geschrieben) (?:von|mit)|(?:resposta|gerado) (?:de|por|pelo)"
    r"|(?:risposta|generato) (?:di|da)|(?:antwoord|gegenereerd) (?:van|door)|wygenerowan\w* przez|ответ от"
    r"|сгенерировано|由|تم إنشاؤه بواسطة"
)
CLOSING = (
    r"(?:best|kind|warm)?\s*(?:regards|wishes)|best|sincerely|cheers|yours(?: truly)?|saludos(?: cordiales)?"
    r"|atentamente"
    r"|cordialement|bien à vous|mit freundlichen grüßen|(?:viele|beste|liebe) grüße|atenciosamente|abraços"
    r"|cumprimentos"
    r"|cordiali saluti|met vriendelijke groet(?:en)?|pozdrawiam|с уважением|此致(?:敬礼)?|敬上|敬具"
    r"|よろしくお願いします"
    r"|감사합니다|مع تحياتي|सादर|saygılarımla|vänliga hälsningar|trân trọng|salam|s pozdravem"
)
