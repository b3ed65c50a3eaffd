"""Names the cause: pure rules over what was seen of an installation (`airfleet.checkup`); nothing is asked here."""
