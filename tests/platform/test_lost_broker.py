"""A worker that loses its broker connects anew, whatever it was just about to do."""

from __future__ import annotations

from typing import Any

import pytest
from celery import current_app


def test_it_takes_what_is_done_on_a_closed_connection_for_a_lost_one() -> None:
    """Timers and threads of the old connection come once more while a new one is made."""
    connection = current_app.connection_for_read()
    channel: Any = connection.channel()
    connection.collect()  # as Celery does when the broker is gone
    with pytest.raises(connection.connection_errors, match="was closed"), channel.conn_or_acquire():
        pass


def test_it_says_so_where_only_the_address_was_forgotten() -> None:
    connection = current_app.connection_for_read()
    channel: Any = connection.channel()
    channel._disconnect_pools()
    connection._do_close_transport()
    with pytest.raises(connection.connection_errors, match="was closed"), channel.conn_or_acquire():
        pass
