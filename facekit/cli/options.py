"""Options that several commands have alike."""

from __future__ import annotations

import click

__all__ = ["partial_index_option"]

partial_index_option = click.option(
    "--partial-index", is_flag=True, help="Take a pack whose index does not reach its end, as far as it goes."
)
