"""A bounded queue between two stages of a pipeline that knows when its senders are done, and can be called off."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class CalledOffError(Exception):
    """The work was called off: whoever waits at a channel is to go home."""


class Channel(Generic[T]):
    """Items from ``senders`` threads to any number of receivers; at most ``capacity`` wait in it."""

    def __init__(self, capacity: int, senders: int) -> None:
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._senders = senders
        self._called_off = False
        self._changed = threading.Condition()

    def put(self, item: T) -> None:
        """Hand an item over, as soon as there is room. Raises CalledOffError."""
        with self._changed:
            self._changed.wait_for(lambda: self._called_off or len(self._items) < self._capacity)
            if self._called_off:
                raise CalledOffError
            self._items.append(item)
            self._changed.notify_all()

    def get(self) -> T | None:
        """The next item, or None when there will be no more. Raises CalledOffError."""
        with self._changed:
            self._changed.wait_for(lambda: self._called_off or self._items or not self._senders)
            if self._called_off:
                raise CalledOffError
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def sender_is_done(self) -> None:
        """To be called once by each sender."""
        with self._changed:
            self._senders -= 1
            self._changed.notify_all()

    def call_off(self) -> None:
        """Wakes everybody who waits, with CalledOffError; what is in the channel is lost."""
        with self._changed:
            self._called_off = True
            self._changed.notify_all()
