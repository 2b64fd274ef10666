"""What ends a call of scripts/kafka."""


class Failure(Exception):
    """Something was refused or went wrong; the text says what, where and what to do."""

    exit_code = 1


class WrongCall(Failure):
    exit_code = 2


class NotToBeHad(Failure):
    """No broker can be had on this machine as it is; nothing is broken."""

    exit_code = 3
