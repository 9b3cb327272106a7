"""A thin client of a zhiyin server: one method for each operation, typed answers, nothing heavy imported.

    from zhiyin.client import Client

    shop = Client("http://127.0.0.1:8765", tenant="shop", key="zy_...")
    answer = shop.recommend(user="u17", n=5)
    shop.event(answer.items[0].item, user="u17", kind="click", trace=answer.trace)

``AsyncClient`` has the same methods to await. The methods and the shapes of answers are written by ``tools/client.py``
from the operations of the server; a test holds them equal.
"""

from zhiyin.client.sending import AsyncClient, CallError, Client

__all__ = ["AsyncClient", "CallError", "Client"]
