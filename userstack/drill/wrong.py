"""What a rule's method objects to, before the parser says where in the script that is."""

from lark import Token


class Wrong(Exception):
    """Something that is written where it may stand and still cannot be, at ``word``; the text says why."""

    def __init__(self, word: Token, message: str) -> None:
        super().__init__(message)
        self.word = word


class Foreign(Exception):
    """Something that is not TCP's, or that only the command line could tell, at ``word``; the text names it."""

    def __init__(self, word: Token, reason: str) -> None:
        super().__init__(reason)
        self.word = word
