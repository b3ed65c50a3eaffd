"""The supply chain of airfleet itself: releases, what is known against its libraries, no secret in a commit."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
