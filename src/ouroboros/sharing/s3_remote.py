"""`ouroboros doctor`'s look at the S3 remote: can DVC reach it, and if not, why?

It asks for one name out of the bucket's list, with the settings that DVC itself would use.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from ouroboros.errors import UserError

ANSWER_SECONDS = 5.0  # for everything: DNS, credentials from a metadata service, the server
CONNECT_SECONDS = 2.0
READ_SECONDS = 3.0
HOW_TO = "docs/sharing.md"

WRONG_KEYS = {
    "InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthFailure", "InvalidClientTokenId",
    "InvalidToken", "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired",
}  # fmt: skip
NOT_ALLOWED = {"AccessDenied", "AllAccessDisabled"}
WRONG_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocation"}
CLOCK = {"RequestTimeTooSkewed"}


def describe_remote() -> str:
    """Ask the S3 remote of the DVC project in this folder; say in one line what was found.

    The default remote is asked, or without a default the first S3 remote by name. Returns within
    about `ANSWER_SECONDS`, whatever the server does.

    Raises:
        UserError: the remote cannot be used. First line: what was found; the rest: what to do.
    """
    from dvc.config import Config, ConfigError

    try:
        config = Config.from_cwd()
        name = _choose(config)
        if name is None:
            return f"none configured (to share runs: {HOW_TO})"
        return _ask(name, config)
    except ConfigError as error:
        raise UserError(f"DVC's configuration cannot be read: {error}") from error


def _choose(config: Mapping[str, Any]) -> str | None:
    names = sorted(
        name
        for name, remote in config["remote"].items()
        if remote.get("url", "").startswith(("s3://", "remote://")) and _is_s3(config, name)
    )
    default = config["core"].get("remote")
    return default if default in names else next(iter(names), None)


def _is_s3(config: Mapping[str, Any], name: str) -> bool:
    from dvc.fs import get_cloud_fs

    file_system, _, _ = get_cloud_fs(config, name=name)
    return bool(file_system.protocol == "s3")


def _ask(name: str, config: Mapping[str, Any]) -> str:
    from dvc.fs import get_cloud_fs

    file_system, settings, path = get_cloud_fs(config, name=name)
    bucket, _, prefix = path.partition("/")
    where = f"{name}: s3://{path}"
    if settings.get("endpointurl"):
        where += f" at {settings['endpointurl']}"
    outcome: list[BaseException | None] = []

    def ask() -> None:
        try:
            _list_one(file_system(**settings).fs_args, bucket, prefix)
            outcome.append(None)
        except Exception as error:
            outcome.append(error)

    # In a thread left to itself: a name server that keeps silent can be waited for, not stopped.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    if not outcome:
        raise UserError(f"{where}: no answer in {ANSWER_SECONDS:.0f} s\n{_unreachable(settings)}")
    if outcome[0] is not None:
        found, to_do = _explain(outcome[0], name, bucket, settings)
        raise UserError(f"{where}: {found}\n{to_do}") from outcome[0]
    return f"{where}, reachable" + _unless_default(name, config)


def _unless_default(name: str, config: Mapping[str, Any]) -> str:
    if config["core"].get("remote") == name:
        return ""
    return f" (not the default remote: dvc push -r {name}, or dvc remote default {name})"


def _list_one(arguments: dict[str, Any], bucket: str, prefix: str) -> None:
    """List at most one object; `arguments` are those DVC gives its S3 client (s3fs)."""
    import botocore
    from botocore.config import Config
    from botocore.session import Session

    limits = {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": READ_SECONDS,
        "retries": {"total_max_attempts": 1},
    }
    if arguments.get("anon"):
        limits["signature_version"] = botocore.UNSIGNED
    settings = {**arguments.get("config_kwargs", {}), **limits}
    client = Session(profile=arguments.get("profile")).create_client(
        "s3",
        aws_access_key_id=arguments.get("key"),
        aws_secret_access_key=arguments.get("secret"),
        aws_session_token=arguments.get("token"),
        use_ssl=arguments["use_ssl"],
        config=Config(**settings),
        **arguments.get("client_kwargs", {}),
    )
    client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)


def _explain(
    error: BaseException, name: str, bucket: str, settings: Mapping[str, Any]
) -> tuple[str, str]:
    """What was found, and what to do about it."""
    from botocore import exceptions

    modify = f"dvc remote modify --local {name}"
    set_keys = f"set both: {modify} access_key_id ID; {modify} secret_access_key SECRET"
    no_keys = (
        exceptions.NoCredentialsError, exceptions.PartialCredentialsError,
        exceptions.CredentialRetrievalError, exceptions.ProfileNotFound,
        exceptions.TokenRetrievalError, exceptions.SSOError,
    )  # fmt: skip
    if isinstance(error, no_keys):
        return f"no credentials ({error})", (
            f"{set_keys}; or AWS' own: aws configure, AWS_PROFILE, an instance's role"
        )
    if isinstance(error, exceptions.ClientError):
        answer = error.response.get("Error", {})
        code, message = str(answer.get("Code")), answer.get("Message")
        if code == "NoSuchBucket":
            return f"no such bucket: {bucket}", (
                f"create the bucket, or name another: dvc remote modify --local {name} url s3://..."
            )
        if code in WRONG_KEYS:
            return f"wrong keys ({code}: {message})", f"{set_keys}, as their owner gave them"
        if code in NOT_ALLOWED:
            return f"these keys may not list the bucket {bucket} ({code}: {message})", (
                "ask its owner for s3:ListBucket on the bucket and s3:GetObject, s3:PutObject on "
                "what is in it; wrong keys can look like this too"
            )
        if code in WRONG_REGION:
            return f"the bucket is in another region ({code}: {message})", f"{modify} region REGION"
        if code in CLOCK:
            return f"this machine's clock is wrong ({code}: {message})", "set the clock"
        if code.isdigit():  # HTTP's status alone: S3 names its errors
            return f"what answers there is not an S3 server ({code}: {message})", (
                "correct the host and port of the remote's endpointurl"
            )
        return f"refused ({code}: {message})", f"see {HOW_TO}"
    if isinstance(error, exceptions.ConnectionError | exceptions.HTTPClientError):
        return f"server not reachable ({error})", _unreachable(settings)
    # A setting with which no request can be made: an endpoint without a scheme, a bucket's name
    # that cannot be one.
    return f"{type(error).__name__}: {error}", (
        f"check the remote's settings: dvc config --show-origin --list, {HOW_TO}"
    )


def _unreachable(settings: Mapping[str, Any]) -> str:
    if settings.get("endpointurl"):
        return "start the server (this project's own: make s3), or correct the remote's endpointurl"
    return "check the network; for a server other than AWS set the remote's endpointurl"
