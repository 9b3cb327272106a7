"""One method for each operation. Written by tools/client.py from the operations of the server; do not edit."""

# fmt: off

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from zhiyin.client.given import each, fresh_id, given, part
from zhiyin.client.shapes import (
    CampaignReport,
    Completions,
    Consent,
    Erased,
    EventIn,
    Gone,
    Imported,
    Item,
    ItemIn,
    Items,
    Kept,
    Live,
    Named,
    Page,
    Portrait,
    Ready,
    Relation,
    RelationIn,
    Relations,
    Reply,
    Results,
    ServerReady,
    Stored,
    Tag,
    TagsIn,
    Taken,
    Trace,
    User,
    UserIn,
    Users,
    Written,
)

T = TypeVar("T")


class Calls(ABC):
    """One method for each operation."""

    _tenant: str

    @abstractmethod
    def _call(self, gives: type[T], method: str, path: str, body: Any = None, query: Mapping[str, Any] | None = None) -> T:
        ...

    def recommend(
        self, *, user: str | None = None, session: str | None = None, history: Sequence[str] | None = None, text: str | None = None,
        items: Sequence[str] | None = None, placement: str = "home", place: str | None = None,
        context: Mapping[str, str | int | float | bool] | None = None, time: int | str | None = None, n: int | None = None,
        filter: str | Mapping[str, Any] | None = None, candidates: Sequence[str] | None = None, exclude: Sequence[str] = (),
        repeat: Literal["allow", "never"] | None = None, diversity: float | None = None, novelty: float | None = None,
        personalized: bool = True, language: Literal["en", "zh"] | None = None, seed: int = 0, cursor: str | None = None,
        target: Literal["items", "users", "groups", "topics"] = "items",
    ) -> Reply:
        """The best items, people to follow, groups or topics for somebody, now. ``POST /v1/{tenant}/recommend``"""
        said = given(
            user=user, session=session, history=history, text=text, items=items, placement=placement, place=place, context=context,
            time=time, n=n, filter=filter, candidates=candidates, exclude=exclude, repeat=repeat, diversity=diversity, novelty=novelty,
            personalized=personalized, language=language, seed=seed, cursor=cursor, target=target,
        )
        return self._call(Reply, "POST", f"/v1/{self._tenant}/recommend", said)

    def rank(
        self, *, user: str | None = None, session: str | None = None, history: Sequence[str] | None = None, text: str | None = None,
        items: Sequence[str] | None = None, placement: str = "home", place: str | None = None,
        context: Mapping[str, str | int | float | bool] | None = None, time: int | str | None = None, n: int | None = None,
        filter: str | Mapping[str, Any] | None = None, candidates: Sequence[str] | None = None, exclude: Sequence[str] = (),
        repeat: Literal["allow", "never"] | None = None, diversity: float | None = None, novelty: float | None = None,
        personalized: bool = True, language: Literal["en", "zh"] | None = None, seed: int = 0, cursor: str | None = None,
        target: Literal["items", "users", "groups", "topics"] = "items",
    ) -> Reply:
        """A given set in the best order for somebody. ``POST /v1/{tenant}/rank``"""
        said = given(
            user=user, session=session, history=history, text=text, items=items, placement=placement, place=place, context=context,
            time=time, n=n, filter=filter, candidates=candidates, exclude=exclude, repeat=repeat, diversity=diversity, novelty=novelty,
            personalized=personalized, language=language, seed=seed, cursor=cursor, target=target,
        )
        return self._call(Reply, "POST", f"/v1/{self._tenant}/rank", said)

    def page(
        self, *, user: str | None = None, session: str | None = None, history: Sequence[str] | None = None, text: str | None = None,
        items: Sequence[str] | None = None, placement: str = "home", place: str | None = None,
        context: Mapping[str, str | int | float | bool] | None = None, time: int | str | None = None, n: int | None = None,
        filter: str | Mapping[str, Any] | None = None, candidates: Sequence[str] | None = None, exclude: Sequence[str] = (),
        repeat: Literal["allow", "never"] | None = None, diversity: float | None = None, novelty: float | None = None,
        personalized: bool = True, language: Literal["en", "zh"] | None = None, seed: int = 0, cursor: str | None = None,
        target: Literal["items", "users", "groups", "topics"] = "items", placements: Sequence[str] | None = None,
    ) -> Page:
        """Several placements on one page. ``POST /v1/{tenant}/page``"""
        said = given(
            user=user, session=session, history=history, text=text, items=items, placement=placement, place=place, context=context,
            time=time, n=n, filter=filter, candidates=candidates, exclude=exclude, repeat=repeat, diversity=diversity, novelty=novelty,
            personalized=personalized, language=language, seed=seed, cursor=cursor, target=target, placements=placements,
        )
        return self._call(Page, "POST", f"/v1/{self._tenant}/page", said)

    def replay(self, trace: str) -> Trace:
        """What was shown under a trace id, and why. ``GET /v1/{tenant}/replay/{trace}``"""
        return self._call(Trace, "GET", f"/v1/{self._tenant}/replay/{part(trace)}")

    def event(
        self, item: str, *, event_id: str | None = None, user: str | None = None, session: str | None = None, kind: str = "event",
        time: int | str | None = None, value: float | None = None, place: str | None = None, placement: str | None = None,
        trace: str | None = None, context: Mapping[str, str | int | float | bool] | None = None,
    ) -> Taken:
        """Store one event. ``POST /v1/{tenant}/event``"""
        said = given(
            event_id=event_id or fresh_id(), item=item, user=user, session=session, kind=kind, time=time, value=value, place=place,
            placement=placement, trace=trace, context=context,
        )
        return self._call(Taken, "POST", f"/v1/{self._tenant}/event", said)

    def events(self, events: Iterable[EventIn | Mapping[str, Any]]) -> Taken:
        """Store up to 10,000 events. ``POST /v1/{tenant}/events``"""
        return self._call(Taken, "POST", f"/v1/{self._tenant}/events", each(EventIn, events))

    def search(
        self, text: str, *, n: int = 10, offset: int = 0, filter: str | Mapping[str, Any] | None = None,
        facets: Sequence[str] | None = None, user: str | None = None, session: str | None = None, personalized: bool = True,
        preference: float | None = None, language: Literal["en", "zh"] | None = None,
        target: Literal["items", "users", "groups", "topics"] = "items",
    ) -> Results:
        """Items for what somebody typed. ``POST /v1/{tenant}/search``"""
        said = given(
            text=text, n=n, offset=offset, filter=filter, facets=facets, user=user, session=session, personalized=personalized,
            preference=preference, language=language, target=target,
        )
        return self._call(Results, "POST", f"/v1/{self._tenant}/search", said)

    def complete(self, text: str, *, n: int = 8) -> Completions:
        """What somebody may be typing. ``POST /v1/{tenant}/complete``"""
        said = given(text=text, n=n)
        return self._call(Completions, "POST", f"/v1/{self._tenant}/complete", said)

    def similar(
        self, item: str, *, kind: Literal["alike", "together", "accessory"] = "alike", n: int = 10,
        filter: str | Mapping[str, Any] | None = None, exclude: Sequence[str] = (), language: Literal["en", "zh"] | None = None,
    ) -> Reply:
        """Items like one: in words, in people's hands, or completing it. ``POST /v1/{tenant}/similar``"""
        said = given(item=item, kind=kind, n=n, filter=filter, exclude=exclude, language=language)
        return self._call(Reply, "POST", f"/v1/{self._tenant}/similar", said)

    def popular(
        self, *, n: int = 10, filter: str | Mapping[str, Any] | None = None, exclude: Sequence[str] = (),
        language: Literal["en", "zh"] | None = None, days: float | None = None,
    ) -> Reply:
        """What most people take. ``POST /v1/{tenant}/popular``"""
        said = given(n=n, filter=filter, exclude=exclude, language=language, days=days)
        return self._call(Reply, "POST", f"/v1/{self._tenant}/popular", said)

    def trending(
        self, *, n: int = 10, filter: str | Mapping[str, Any] | None = None, exclude: Sequence[str] = (),
        language: Literal["en", "zh"] | None = None, days: float | None = None,
    ) -> Reply:
        """What is taken more these days than before. ``POST /v1/{tenant}/trending``"""
        said = given(n=n, filter=filter, exclude=exclude, language=language, days=days)
        return self._call(Reply, "POST", f"/v1/{self._tenant}/trending", said)

    def new(
        self, *, n: int = 10, filter: str | Mapping[str, Any] | None = None, exclude: Sequence[str] = (),
        language: Literal["en", "zh"] | None = None, days: float | None = None,
    ) -> Reply:
        """What came last. ``POST /v1/{tenant}/new``"""
        said = given(n=n, filter=filter, exclude=exclude, language=language, days=days)
        return self._call(Reply, "POST", f"/v1/{self._tenant}/new", said)

    def list_items(self, *, after: str = "", n: int = 100) -> Items:
        """Items by id, page after page. ``GET /v1/{tenant}/items``"""
        said = given(after=after, n=n)
        return self._call(Items, "GET", f"/v1/{self._tenant}/items", query=said)

    def put_items(self, items: Iterable[ItemIn | Mapping[str, Any]]) -> Written:
        """Insert or replace items. ``PUT /v1/{tenant}/items``"""
        return self._call(Written, "PUT", f"/v1/{self._tenant}/items", each(ItemIn, items))

    def patch_items(self, items: Iterable[ItemIn | Mapping[str, Any]]) -> Written:
        """Change some columns of items. ``PATCH /v1/{tenant}/items``"""
        return self._call(Written, "PATCH", f"/v1/{self._tenant}/items", each(ItemIn, items))

    def delete_items(self, ids: Sequence[str]) -> Gone:
        """Take items out. ``POST /v1/{tenant}/items/delete``"""
        return self._call(Gone, "POST", f"/v1/{self._tenant}/items/delete", ids)

    def get_item(self, item: str) -> Item:
        """One item as it is now. ``GET /v1/{tenant}/items/{item}``"""
        return self._call(Item, "GET", f"/v1/{self._tenant}/items/{part(item)}")

    def put_item(self, item: str, columns: Mapping[str, Any]) -> Written:
        """Insert or replace one item. ``PUT /v1/{tenant}/items/{item}``"""
        return self._call(Written, "PUT", f"/v1/{self._tenant}/items/{part(item)}", columns)

    def patch_item(self, item: str, columns: Mapping[str, Any]) -> Written:
        """Change some columns of one item. ``PATCH /v1/{tenant}/items/{item}``"""
        return self._call(Written, "PATCH", f"/v1/{self._tenant}/items/{part(item)}", columns)

    def delete_item(self, item: str) -> Gone:
        """Take one item out of every answer. ``DELETE /v1/{tenant}/items/{item}``"""
        return self._call(Gone, "DELETE", f"/v1/{self._tenant}/items/{part(item)}")

    def list_users(self, *, after: str = "", n: int = 100) -> Users:
        """Users by id, page after page. ``GET /v1/{tenant}/users``"""
        said = given(after=after, n=n)
        return self._call(Users, "GET", f"/v1/{self._tenant}/users", query=said)

    def put_users(self, users: Iterable[UserIn | Mapping[str, Any]]) -> Written:
        """Insert or replace users. ``PUT /v1/{tenant}/users``"""
        return self._call(Written, "PUT", f"/v1/{self._tenant}/users", each(UserIn, users))

    def get_user(self, user: str) -> User:
        """One user's row. ``GET /v1/{tenant}/users/{user}``"""
        return self._call(User, "GET", f"/v1/{self._tenant}/users/{part(user)}")

    def put_user(self, user: str, columns: Mapping[str, Any]) -> Written:
        """Insert or replace one user. ``PUT /v1/{tenant}/users/{user}``"""
        return self._call(Written, "PUT", f"/v1/{self._tenant}/users/{part(user)}", columns)

    def patch_user(self, user: str, columns: Mapping[str, Any]) -> Written:
        """Change some columns of one user. ``PATCH /v1/{tenant}/users/{user}``"""
        return self._call(Written, "PATCH", f"/v1/{self._tenant}/users/{part(user)}", columns)

    def delete_user(self, user: str) -> Gone:
        """Remove a user's row; erase removes everything. ``DELETE /v1/{tenant}/users/{user}``"""
        return self._call(Gone, "DELETE", f"/v1/{self._tenant}/users/{part(user)}")

    def get_consent(self, user: str) -> Consent:
        """What a user allows. ``GET /v1/{tenant}/users/{user}/consent``"""
        return self._call(Consent, "GET", f"/v1/{self._tenant}/users/{part(user)}/consent")

    def put_consent(self, user: str, *, personalize: bool = True, store: bool = True) -> Consent:
        """Follow what a user allows. ``PUT /v1/{tenant}/users/{user}/consent``"""
        said = given(personalize=personalize, store=store)
        return self._call(Consent, "PUT", f"/v1/{self._tenant}/users/{part(user)}/consent", said)

    def portrait(self, user: str) -> Portrait:
        """What is thought of a user, with evidence. ``GET /v1/{tenant}/users/{user}/portrait``"""
        return self._call(Portrait, "GET", f"/v1/{self._tenant}/users/{part(user)}/portrait")

    def put_tags(self, user: str, *, tags: Sequence[Tag] = (), hidden: Sequence[str] = ()) -> TagsIn:
        """The tags a user gives himself. ``PUT /v1/{tenant}/users/{user}/portrait/tags``"""
        said = given(tags=tags, hidden=hidden)
        return self._call(TagsIn, "PUT", f"/v1/{self._tenant}/users/{part(user)}/portrait/tags", said)

    def delete_tag(self, user: str, tag: str) -> TagsIn:
        """Take a tag or topic away. ``DELETE /v1/{tenant}/users/{user}/portrait/tags/{tag}``"""
        return self._call(TagsIn, "DELETE", f"/v1/{self._tenant}/users/{part(user)}/portrait/tags/{part(tag)}")

    def export_user(self, user: str) -> Kept:
        """Everything kept about a user. ``GET /v1/{tenant}/users/{user}/export``"""
        return self._call(Kept, "GET", f"/v1/{self._tenant}/users/{part(user)}/export")

    def erase_user(self, user: str) -> Erased:
        """Remove a user for good, with proof. ``POST /v1/{tenant}/users/{user}/erase``"""
        return self._call(Erased, "POST", f"/v1/{self._tenant}/users/{part(user)}/erase")

    def list_relations(self, *, after: str = "", n: int = 100, head: str | None = None, relation: str | None = None) -> Relations:
        """Relations, page after page. ``GET /v1/{tenant}/relations``"""
        said = given(after=after, n=n, head=head, relation=relation)
        return self._call(Relations, "GET", f"/v1/{self._tenant}/relations", query=said)

    def put_relations(self, relations: Iterable[RelationIn | Mapping[str, Any]]) -> Stored:
        """Insert or replace relations. ``PUT /v1/{tenant}/relations``"""
        return self._call(Stored, "PUT", f"/v1/{self._tenant}/relations", each(RelationIn, relations))

    def delete_relations(self, relations: Iterable[Named | Mapping[str, Any]]) -> Gone:
        """Remove relations. ``POST /v1/{tenant}/relations/delete``"""
        return self._call(Gone, "POST", f"/v1/{self._tenant}/relations/delete", each(Named, relations))

    def get_relation(self, head: str, relation: str, tail: str) -> Relation:
        """One relation. ``GET /v1/{tenant}/relations/{head}/{relation}/{tail}``"""
        return self._call(Relation, "GET", f"/v1/{self._tenant}/relations/{part(head)}/{part(relation)}/{part(tail)}")

    def put_relation(self, head: str, relation: str, tail: str, columns: Mapping[str, Any]) -> Stored:
        """Insert or replace one relation. ``PUT /v1/{tenant}/relations/{head}/{relation}/{tail}``"""
        return self._call(Stored, "PUT", f"/v1/{self._tenant}/relations/{part(head)}/{part(relation)}/{part(tail)}", columns)

    def patch_relation(self, head: str, relation: str, tail: str, columns: Mapping[str, Any]) -> Stored:
        """Change some columns of one relation. ``PATCH /v1/{tenant}/relations/{head}/{relation}/{tail}``"""
        return self._call(Stored, "PATCH", f"/v1/{self._tenant}/relations/{part(head)}/{part(relation)}/{part(tail)}", columns)

    def delete_relation(self, head: str, relation: str, tail: str) -> Gone:
        """Remove one relation. ``DELETE /v1/{tenant}/relations/{head}/{relation}/{tail}``"""
        return self._call(Gone, "DELETE", f"/v1/{self._tenant}/relations/{part(head)}/{part(relation)}/{part(tail)}")

    def import_events(self, content: bytes, *, format: Literal["jsonl", "csv", "parquet"] = "jsonl") -> Imported:
        """Store a file of events; what does not fit is refused row by row. ``POST /v1/{tenant}/import/events``"""
        said = given(format=format)
        return self._call(Imported, "POST", f"/v1/{self._tenant}/import/events", content, query=said)

    def export_events(self, *, format: Literal["jsonl", "csv", "parquet"] = "jsonl") -> bytes:
        """All events as one file. ``GET /v1/{tenant}/export/events``"""
        said = given(format=format)
        return self._call(bytes, "GET", f"/v1/{self._tenant}/export/events", query=said)

    def import_items(self, content: bytes, *, format: Literal["jsonl", "csv", "parquet"] = "jsonl") -> Imported:
        """Store a file of items; what does not fit is refused row by row. ``POST /v1/{tenant}/import/items``"""
        said = given(format=format)
        return self._call(Imported, "POST", f"/v1/{self._tenant}/import/items", content, query=said)

    def export_items(self, *, format: Literal["jsonl", "csv", "parquet"] = "jsonl") -> bytes:
        """All items as one file. ``GET /v1/{tenant}/export/items``"""
        said = given(format=format)
        return self._call(bytes, "GET", f"/v1/{self._tenant}/export/items", query=said)

    def import_users(self, content: bytes, *, format: Literal["jsonl", "csv", "parquet"] = "jsonl") -> Imported:
        """Store a file of users; what does not fit is refused row by row. ``POST /v1/{tenant}/import/users``"""
        said = given(format=format)
        return self._call(Imported, "POST", f"/v1/{self._tenant}/import/users", content, query=said)

    def export_users(self, *, format: Literal["jsonl", "csv", "parquet"] = "jsonl") -> bytes:
        """All users as one file. ``GET /v1/{tenant}/export/users``"""
        said = given(format=format)
        return self._call(bytes, "GET", f"/v1/{self._tenant}/export/users", query=said)

    def import_relations(self, content: bytes, *, format: Literal["jsonl", "csv", "parquet"] = "jsonl") -> Imported:
        """Store a file of relations; what does not fit is refused row by row. ``POST /v1/{tenant}/import/relations``"""
        said = given(format=format)
        return self._call(Imported, "POST", f"/v1/{self._tenant}/import/relations", content, query=said)

    def export_relations(self, *, format: Literal["jsonl", "csv", "parquet"] = "jsonl") -> bytes:
        """All relations as one file. ``GET /v1/{tenant}/export/relations``"""
        said = given(format=format)
        return self._call(bytes, "GET", f"/v1/{self._tenant}/export/relations", query=said)

    def dump(self) -> bytes:
        """Everything as one file; zhiyin restore reads it. ``POST /v1/{tenant}/dump``"""
        return self._call(bytes, "POST", f"/v1/{self._tenant}/dump")

    def ads_report(self) -> list[CampaignReport]:
        """Impressions and clicks by campaign. ``GET /v1/{tenant}/ads/report``"""
        return self._call(list[CampaignReport], "GET", f"/v1/{self._tenant}/ads/report")

    def tracker(self) -> bytes:
        """A script for pages: it sends what visitors do. ``GET /tracker.js``"""
        return self._call(bytes, "GET", "/tracker.js")

    def webhook(self, name: str, document: Mapping[str, Any] | Sequence[Any]) -> Imported:
        """What another system says, as events. ``POST /v1/{tenant}/webhook/{name}``"""
        return self._call(Imported, "POST", f"/v1/{self._tenant}/webhook/{part(name)}", document)

    def live(self) -> Live:
        """The process runs. ``GET /health/live``"""
        return self._call(Live, "GET", "/health/live")

    def ready(self) -> ServerReady:
        """Events are taken and asks answered. ``GET /health/ready``"""
        return self._call(ServerReady, "GET", "/health/ready")

    def tenant_ready(self) -> Ready:
        """How this tenant is. ``GET /v1/{tenant}/health/ready``"""
        return self._call(Ready, "GET", f"/v1/{self._tenant}/health/ready")

    def openapi(self) -> dict[str, Any]:
        """This document. ``GET /openapi.json``"""
        return self._call(dict[str, Any], "GET", "/openapi.json")

    def metrics(self) -> bytes:
        """Figures for Prometheus, of the tenants a key opens. ``GET /metrics``"""
        return self._call(bytes, "GET", "/metrics")
