"""What people call their columns and files, in English and Chinese."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# Within a role earlier words are stronger evidence. Latin words are compared whole, Chinese as parts.
EVENT_ROLES: dict[str, tuple[str, ...]] = {
    "user": (
        "user", "uid", "customer", "member", "visitor", "reviewer", "buyer", "shopper", "client", "subscriber", "account", "person",
        "reader", "listener", "viewer", "patient", "student", "author", "用户", "会员", "客户", "顾客", "买家", "访客", "读者", "学生",
    ),
    "item": (
        "item", "iid", "product", "sku", "stock code", "stockcode", "asin", "isbn", "movie", "film", "book", "song", "track", "artist",
        "article", "news", "poi", "venue", "business", "restaurant", "hotel", "course", "game", "app", "video", "doc", "document",
        "goods", "listing", "recipe", "job", "商品", "物品", "产品", "货号", "货品", "电影", "影片", "图书", "书籍", "歌曲", "文章", "新闻",
        "课程", "游戏", "视频", "店铺", "商家", "餐厅", "酒店", "景点", "地点",
    ),
    "time": (
        "timestamp", "time", "datetime", "date", "ts", "created", "created at", "at", "when", "day", "unixtime", "unix time", "rated at",
        "时间戳", "时间", "日期", "下单日", "发生于",
    ),
    "kind": (
        "event type", "event", "kind", "action", "action type", "behavior", "behaviour", "behavior type", "event name", "verb", "activity",
        "type", "事件", "行为", "动作", "操作", "类型",
    ),
    "value": (
        "rating", "stars", "score", "overall", "grade", "quantity", "qty", "amount", "count", "cnt", "plays", "weight", "label", "clicked",
        "liked", "dwell", "duration", "watch time", "seconds", "value", "评分", "星级", "打分", "得分", "数量", "件数", "次数", "时长",
    ),
    "position": ("position", "pos", "step", "rank in session", "sequence", "seq", "index", "位置", "序号", "顺序", "次序"),
    "session": (
        "session", "trajectory", "invoice", "order", "basket", "visit", "transaction", "receipt", "cart", "会话", "订单", "小票", "购物篮",
    ),
    "place": (
        "place", "location", "city", "region", "district", "store", "shop", "geohash", "county", "country",
        "城市", "地区", "门店", "位置",
    ),
    "placement": ("placement", "slot", "surface", "page type", "channel", "widget", "版位", "展位", "渠道"),
    "trace": ("trace", "request", "impression", "recommendation", "请求", "曝光"),
    "split": ("split", "fold", "subset", "partition", "time split", "划分"),
}  # fmt: skip

ITEM_ROLES: dict[str, tuple[str, ...]] = {
    "title": (
        "title", "name", "product name", "item name", "headline", "description", "desc", "short desc", "标题", "名称",
        "题名", "片名", "书名",
        "品名", "描述",
    ),
    "parent": ("parent", "parent id", "group id", "spu", "父", "款号"),
    "publish": (
        "publish", "published", "published at", "publish time", "publish date", "available from",
        "上架时间", "发布时间", "上架日期",
    ),
    "expire": ("expire", "expires", "expired", "expires at", "expire time", "valid until", "available until", "下架时间", "过期", "截止"),
    "available": ("available", "availability", "in stock", "active", "is active", "on sale", "是否上架", "在售", "有货"),
}  # fmt: skip

COLUMN_TYPES: dict[str, tuple[str, ...]] = {
    "latitude": ("lat", "latitude", "纬度"),
    "longitude": ("lon", "lng", "long", "longitude", "经度"),
    "price": ("price", "unit price", "cost", "fee", "价格", "单价", "售价", "金额"),
    "image": ("image", "img", "picture", "photo", "cover", "thumbnail", "poster", "image url", "small image url", "图片", "封面", "海报"),
    "language": ("language", "lang", "language code", "locale", "语言", "语种"),
    "domain": ("domain", "market", "tenant", "领域"),
    "place": ("place", "location", "city", "region", "district", "country", "城市", "地区", "产地"),
    "list": ("genres", "genre", "tags", "categories", "keywords", "authors", "actors", "标签", "类别", "分类", "关键词"),
    "text": (
        "title", "name", "description", "desc", "text", "summary", "content", "abstract", "body", "feature", "features", "short desc",
        "标题", "名称", "描述", "简介", "内容", "摘要", "正文", "详情",
    ),
    "category": (
        "category", "brand", "genre", "type", "class", "department", "publisher", "occupation", "job", "level", "developer", "品牌",
        "品类", "类目", "颜色", "尺码",
    ),
}  # fmt: skip

# What describes a thing rather than an act, when both stand in one file.
DESCRIBES_ITEM = (
    *COLUMN_TYPES["text"], *COLUMN_TYPES["price"], *COLUMN_TYPES["image"], *COLUMN_TYPES["list"], *COLUMN_TYPES["category"],
    *COLUMN_TYPES["latitude"], *COLUMN_TYPES["longitude"], "year",
)  # fmt: skip

SENSITIVE = (
    "gender", "sex", "age", "birthday", "birth date", "ethnicity", "race", "religion", "income", "marital", "health", "zip code", "zip",
    "postcode", "phone", "email", "address", "性别", "年龄", "生日", "民族", "宗教", "收入", "婚姻", "邮编", "电话", "手机", "邮箱", "住址",
)  # fmt: skip

FILES: dict[str, tuple[str, ...]] = {
    "events": (
        "events", "event", "interactions", "interaction", "ratings", "rating", "transactions", "orders", "reviews", "clicks", "purchases",
        "sales", "logs", "log", "behavior", "behaviors", "checkins", "checkin", "sequences", "sessions", "views", "plays", "train",
        "行为", "事件", "交互", "评分", "评论", "订单", "日志", "点击", "购买", "流水",
    ),
    "items": (
        "items", "item", "products", "product", "movies", "books", "songs", "articles", "news", "catalog", "catalogue", "pois", "venues",
        "artists", "courses", "apps", "docs", "metadata", "meta", "goods", "商品", "物品", "产品", "电影", "图书", "课程", "文章", "目录",
    ),
    "users": ("users", "user", "customers", "members", "people", "用户", "会员", "客户", "顾客"),
    "relations": ("relations", "relation", "triples", "kg", "graph", "links", "edges", "关系", "三元组", "图谱"),
}  # fmt: skip

RELATION_PARTS: dict[str, tuple[str, ...]] = {
    "head": ("head", "subject", "source", "src", "from", "头实体", "头", "主语"),
    "relation": ("relation", "predicate", "rel", "edge", "type", "关系", "谓语"),
    "tail": ("tail", "object", "target", "dst", "to", "尾实体", "尾", "宾语"),
}

NOT_LIKED = (
    "dislike", "refund", "return", "cancel", "remove", "skip", "hide", "block", "impression", "show", "exposure", "unlike",
    "取消", "退货", "退款", "不喜欢", "跳过", "曝光", "移除",
)  # fmt: skip

_ID_ENDINGS = ("id", "ids", "idx", "ix", "no", "num", "number", "code", "key", "编号", "号", "代码", "编码")


def words_of(name: str) -> list[str]:
    """'CustomerID', 'customer_id' -> ['customer', 'id']; Chinese runs stay whole."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    spaced = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1 \2", spaced)
    spaced = re.sub(r"([\u3400-\u9fff]+)", r" \1 ", spaced)
    return [w for w in re.split(r"[\W_]+", spaced.lower()) if w]


def likeness(name: str, known: Sequence[str]) -> float:
    """0..1: how well a column name says one of the words; 1 = exactly the first of them.

    An ending such as id or code is not counted; a word beside others counts for less.
    """
    words = words_of(name)
    bare = [w for w in words if w not in _ID_ENDINGS] or words
    best = 0.0
    for i, word in enumerate(known):
        early = 1.0 - 0.15 * i / len(known)
        if " ".join(bare) == word or " ".join(words) == word or "".join(words) in (word, word + "id"):
            best = max(best, early)
        elif not word.isascii():
            if any(word in w for w in words):
                best = max(best, early * 0.92)
        elif word in bare:
            # The last word is the noun: "item name" is a name.
            best = max(best, early * (0.8 if bare[-1] == word else 0.55))
        elif " " in word and word in " ".join(words):
            best = max(best, early * 0.8)
    return best


def is_id_name(name: str) -> bool:
    """Does the name say that the column holds ids or codes?"""
    words = words_of(name)
    return bool(words) and (words[-1] in _ID_ENDINGS or any(words[-1].endswith(e) for e in _ID_ENDINGS if not e.isascii()))


def any_word(text: str, known: Iterable[str]) -> bool:
    """Does the text contain one of the words (Chinese: as a part)?"""
    words = words_of(text)
    return any((w in words) if w.isascii() else (w in text) for w in known)
