"""What the town talks about: themes and moods with the words that tell them, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping

LANGUAGES = ("en", "zh")
DOMAINS = ("shop", "film", "news", "course")

VERBS: Mapping[str, str] = {"shop": "buy", "film": "watch", "news": "read", "course": "enrol"}
"""The event kind a domain's items receive."""

THEMES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "coffee": {
        "en": ("coffee", "espresso", "roast", "latte", "beans", "barista", "brew"),
        "zh": ("咖啡", "手冲", "拿铁", "烘焙", "咖啡豆", "浓缩", "萃取"),
    },
    "hiking": {
        "en": ("hiking", "trail", "summit", "backpack", "valley", "boots", "ridge"),
        "zh": ("徒步", "山径", "登顶", "背包", "峡谷", "露营", "山脊"),
    },
    "jazz": {
        "en": ("jazz", "saxophone", "swing", "trumpet", "blues", "vinyl", "bebop"),
        "zh": ("爵士", "萨克斯", "摇摆乐", "小号", "蓝调", "黑胶", "即兴"),
    },
    "cooking": {
        "en": ("cooking", "noodles", "kitchen", "dumpling", "spice", "recipe", "wok"),
        "zh": ("烹饪", "面条", "厨房", "饺子", "香料", "菜谱", "炒锅"),
    },
    "cats": {
        "en": ("cats", "kitten", "whiskers", "purring", "litter", "paws", "tabby"),
        "zh": ("猫咪", "小猫", "胡须", "喵星人", "猫砂", "爪子", "狸花猫"),
    },
    "football": {
        "en": ("football", "striker", "goal", "penalty", "league", "stadium", "keeper"),
        "zh": ("足球", "前锋", "进球", "点球", "联赛", "球场", "门将"),
    },
    "painting": {
        "en": ("painting", "canvas", "watercolour", "brush", "gallery", "sketch", "pigment"),
        "zh": ("绘画", "画布", "水彩", "画笔", "画廊", "素描", "颜料"),
    },
    "robots": {
        "en": ("robots", "sensor", "circuit", "automation", "drone", "code", "actuator"),
        "zh": ("机器人", "传感器", "电路", "自动化", "无人机", "编程", "芯片"),
    },
    "gardening": {
        "en": ("gardening", "seeds", "roses", "compost", "greenhouse", "orchid", "pruning"),
        "zh": ("园艺", "种子", "玫瑰", "堆肥", "温室", "兰花", "修剪"),
    },
    "history": {
        "en": ("history", "dynasty", "empire", "museum", "archive", "ancient", "emperor"),
        "zh": ("历史", "王朝", "帝国", "博物馆", "档案", "古代", "皇帝"),
    },
    "yoga": {
        "en": ("yoga", "meditation", "breathing", "stretch", "asana", "balance", "posture"),
        "zh": ("瑜伽", "冥想", "呼吸", "拉伸", "体式", "平衡", "体态"),
    },
    "stars": {
        "en": ("astronomy", "telescope", "galaxy", "comet", "planet", "orbit", "nebula"),
        "zh": ("天文", "望远镜", "银河", "彗星", "行星", "轨道", "星云"),
    },
}

MOODS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "quiet": {"en": ("quiet", "gentle", "slow", "calm"), "zh": ("静谧", "温柔", "慢悠悠", "安静")},
    "lively": {"en": ("lively", "playful", "noisy", "cheerful"), "zh": ("热闹", "欢快", "活泼", "喧腾")},
    "refined": {"en": ("refined", "exquisite", "expert", "rare"), "zh": ("精致", "考究", "专业", "珍稀")},
}

NOUNS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "shop": {"en": ("House", "Corner", "Workshop", "Store"), "zh": ("小馆", "铺子", "工坊", "店")},
    "film": {"en": ("Story", "Nights", "Journey", "Letters"), "zh": ("故事", "之夜", "旅程", "来信")},
    "news": {"en": ("Report", "Brief", "Interview", "Notes"), "zh": ("快讯", "简报", "专访", "观察")},
    "course": {"en": ("Primer", "Masterclass", "Lessons", "Seminar"), "zh": ("入门", "大师课", "课堂", "讲座")},
}

NAMES: Mapping[str, tuple[str, ...]] = {
    "en": ("Maple Lane", "River Gate", "Old Mill", "North Bridge", "Harbour Road", "Willow Square", "Lantern Street", "Orchard Hill"),
    "zh": ("枫林路", "河湾里", "老磨坊", "北桥", "港口街", "柳树广场", "灯笼巷", "果园坡"),
}

ABOUT: Mapping[str, Mapping[str, str]] = {
    "shop": {
        "en": "This {mood} place has {a}, {b} and {c}, open every day.",
        "zh": "一家{mood}的店，有{a}、{b}和{c}，每天营业。",
    },
    "film": {"en": "This {mood} film tells of {a} and {b}, with a little {c}.", "zh": "一部{mood}的电影，讲述{a}与{b}，还有一点{c}。"},
    "news": {"en": "This {mood} piece says what {a} and {b} mean for {c} this week.", "zh": "{mood}的报道：本周{a}和{b}对{c}意味着什么。"},
    "course": {"en": "Eight {mood} evenings: {a}, {b} and {c}.", "zh": "八个晚上的{mood}课程：{a}、{b}和{c}。"},
}

LIKES: Mapping[str, str] = {"en": "Likes {mood} things: {a} and {b}.", "zh": "喜欢{mood}的东西：{a}和{b}。"}
"""How people speak of themselves."""
