"""What Cloud Storage, or the way to it, said: for the programs that run in an environment with Google's library."""

from __future__ import annotations

import contextlib
import json
import site

SAID = 300  # letters
TIMEOUT_S = (10, 60)  # to connect, and between two signs of life
ROLE = "roles/storage.objectUser"
LIBRARY = "airflow.extras in the inventory needs `google`; then: fab bootstrap"


def status(error):
    """Return the HTTP status that an error tells of, 0 where it tells of none."""
    response = getattr(error, "response", None)
    return int(getattr(error, "code", None) or getattr(response, "status_code", None) or 0)


def said(error):
    """Return what the service, or the network, said."""
    text = getattr(getattr(error, "response", None), "text", "") or str(error) or type(error).__name__
    with contextlib.suppress(ValueError, KeyError, TypeError):
        text = json.loads(text)["error"]["message"]
    return text.strip()[:SAID]


def refused(what, remedy, kind="refused", tail=""):
    """Return an answer that is a refusal."""
    return {"refused": {"what": what, "kind": kind, "remedy": remedy, "tail": tail}}


class Bad(Exception):
    """Something that an operator can act on: its arguments are those of a refusal."""


class Bucket:
    """The bucket and a folder in it; each request to it ends in bounded time."""

    def __init__(self, storage, words):
        from google.cloud.storage import retry

        # No project: whoever knows a bucket's name needs none. Under STORAGE_EMULATOR_HOST it asks for no credentials.
        self.client = storage.Client(project=None)
        self.bucket = self.client.bucket(words["bucket"])
        self.prefix = words["prefix"] + "/" if words["prefix"] else ""
        self.limits = {
            "timeout": tuple(words.get("timeout_s", TIMEOUT_S)),
            "retry": retry.DEFAULT_RETRY.with_timeout(words["patience_s"]),
        }

    def blob(self, name):
        """Return the object of that name, whether it is there or not."""
        return self.bucket.blob(self.prefix + name)

    def there(self, name):
        """Return the object of that name as it is now, or None."""
        return self.bucket.get_blob(self.prefix + name, **self.limits)

    def names(self):
        """Return {name: object} of all that is in the folder; a bucket that is not there is an error."""
        found = self.client.list_blobs(self.bucket, prefix=self.prefix, delimiter="/", **self.limits)
        return {blob.name[len(self.prefix) :]: blob for blob in found}

    def remove(self, name):
        """Remove an object, if it is there."""
        from google.api_core.exceptions import NotFound

        with contextlib.suppress(NotFound):
            self.blob(name).delete(**self.limits)


def told(error, place, setting, look_again):
    """Return the refusal for what the library raised, or None for what nobody foresaw."""
    from google.auth import exceptions as auth

    error = getattr(error, "cause", None) or error  # of what was tried again until the time was over
    code, tail = status(error), said(error)
    if isinstance(error, (auth.RefreshError, auth.InvalidOperation)) or code == 401:
        what = f"{place}: the credentials of this host are not accepted"
        return refused(what, "look at the VM's service account and its scopes", tail=tail)
    if isinstance(error, auth.DefaultCredentialsError):
        give = f"give the VM a service account with the scope cloud-platform, and it {ROLE} on the bucket"
        return refused(f"{place}: this host has no credentials of Google's", give, tail=tail)
    if code == 403:
        give = f"give the account that is named below {ROLE} on the bucket"
        return refused(f"{place}: permission denied", give, tail=tail)
    if code == 404:
        return refused(f"{place}: the bucket is not there", f"make it, or correct {setting}", tail=tail)
    if code == 412:
        what = f"{place}: somebody else has written there meanwhile; nothing was overwritten"
        return refused(what, f"look again: {look_again}", "changed")
    if isinstance(error, (auth.TransportError, OSError)) or code in (408, 429) or code >= 500:
        look = "look whether this host reaches storage.googleapis.com:443 (fab firewall --probe), then run it again"
        return refused(f"{place}: Cloud Storage can't be reached from this host", look, "away", tail)
    return None


def answered(does, words, setting, again):
    """Return what one of `does` answers, or {"refused": …}; `setting` names the bucket, `again` is what to try then."""
    site.main()  # as when Airflow starts: Google's packages share a folder that some hook into by a *.pth
    try:
        from google.cloud import storage
    except ImportError as e:
        return refused(f"{words['python']} has no google-cloud-storage ({e})", LIBRARY, "missing")
    try:
        return does[words["do"]](Bucket(storage, words), words)
    except Bad as e:
        return refused(*e.args)
    except Exception as e:
        answer = told(e, words["place"], setting, again)
        if not answer:
            raise
        return answer
