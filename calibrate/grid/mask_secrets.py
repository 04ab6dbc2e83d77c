"""Mask the passwords in storage URLs before they are shown or written to files."""

import re
from urllib.parse import unquote

HIDDEN = "***"
# The user's part of a URL, up to the last @: a password may itself have one.
USER_PART = re.compile(r"(//[^:@/\s]*:)\S+@")
# The same without //: not a URL, but it may have been meant as one.
USER_PART_ALONE = re.compile(r"([^:@/\s'\"]+:)[^\s/]\S*@")
KEY_AND_VALUE = re.compile(r"([^\s?&;,=({'\"]+)(\s*=\s*)([^\s&;,)}'\"]+)")
SECRET_KEY = re.compile(
    r"pass|pwd|token|secret|credential|api.?key|access.?key|auth|signature|odbc_connect",
    re.IGNORECASE,
)


def mask_secrets(text: str) -> str:
    """Return a URL, or a message that may quote one, with `***` in place of passwords.

    Both `//USER:PASSWORD@` and values of keys such as `password=`, `pwd=` and `token=` are masked,
    also if the text is not a valid URL: `mysql://ann:x@host/a` gives `mysql://ann:***@host/a`.
    """
    user_part = USER_PART if "//" in text else USER_PART_ALONE
    return KEY_AND_VALUE.sub(_mask_value, user_part.sub(rf"\1{HIDDEN}@", text))


def _mask_value(match: re.Match[str]) -> str:
    key, equals, _ = match.groups()
    return f"{key}{equals}{HIDDEN}" if SECRET_KEY.search(unquote(key)) else match.group()
