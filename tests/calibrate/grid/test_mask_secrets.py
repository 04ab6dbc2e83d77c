"""Passwords in storage URLs are masked, wherever they are."""

import pytest

from clip_cfr.calibrate.core.errors import SettingsError
from clip_cfr.calibrate.grid.mask_secrets import mask_secrets
from clip_cfr.calibrate.grid.storage import display_url, parse_url

WITH_SECRETS = {
    "mysql+pymysql://ann:hunter2@host/db": "mysql+pymysql://ann:***@host/db",
    "mysql://ann:hun@ter2@host/db": "mysql://ann:***@host/db",
    "mysql://ann:hun/ter2?x@host/db": "mysql://ann:***@host/db",
    "postgresql://host/db?user=ann&password=hunter2": "postgresql://host/db?user=ann&password=***",
    "postgresql://host/db?sslmode=require&PWD=hunter2": (
        "postgresql://host/db?sslmode=require&PWD=***"
    ),
    "postgresql://host/db?auth_token=hunter2&x=1": "postgresql://host/db?auth_token=***&x=1",
    "mysql://ann:hunter2@host/db?ssl_key_passwd=hunter2": (
        "mysql://ann:***@host/db?ssl_key_passwd=***"
    ),
    "mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3Dhunter2": "mssql+pyodbc:///?odbc_connect=***",
    "postgresql://host/db?pass%77ord=hunter2": "postgresql://host/db?pass%77ord=***",
    "host=h dbname=d password=hunter2": "host=h dbname=d password=***",
    "mysql:ann:hunter2@host/db": "mysql:***@host/db",
    "ann:hunter2@host": "ann:***@host",
}
WITHOUT_SECRETS = (
    "sqlite:///runs/study.db",
    "sqlite:////data/a:b@c/study.db",
    "postgresql://host/db?sslmode=require",
    "mysql://ann@host/db",
)


@pytest.mark.parametrize(("url", "expected"), WITH_SECRETS.items())
def test_a_secret_is_masked(url, expected):
    assert mask_secrets(url) == expected
    assert "hunter2" not in mask_secrets(f"could not connect with {url!r}")


@pytest.mark.parametrize("url", WITHOUT_SECRETS)
def test_a_url_without_secrets_is_unchanged(url):
    assert mask_secrets(url) == url


def test_neither_the_stored_url_nor_a_refusal_has_the_password():
    found = display_url("mysql+pymysql://ann:hunter2@host/db?ssl_key=a&ssl_key_password=hunter2")
    assert found == "mysql+pymysql://ann:***@host/db?ssl_key=a&ssl_key_password=***"
    for url in ("nosql://ann:hunter2@host/db", "ann:hunter2@host", "host=h password=hunter2"):
        with pytest.raises(SettingsError) as error:
            parse_url(url)
        assert "hunter2" not in str(error.value)
        assert str(error.value).startswith(f"--storage {mask_secrets(url)}: expected a database")
