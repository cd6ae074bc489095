"""What can be wrong with a landed file or folder, said without any value of a patient."""


class LandingError(Exception):
    """Says what was expected, what was found and where to look; names and counts only."""

    def __init__(self, *, expected: str, found: str, where: str) -> None:
        super().__init__(f"expected {expected}; found {found}; look at {where}")
        self.parts = (expected, found, where)

    def __reduce__(self) -> tuple[object, tuple[str, str, str]]:
        return _again, self.parts


def _again(expected: str, found: str, where: str) -> LandingError:
    return LandingError(expected=expected, found=found, where=where)
