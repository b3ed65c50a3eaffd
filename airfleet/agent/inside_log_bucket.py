"""Writes, reads, lists and deletes one small object of a bucket; run by an environment's Python, which has the library.

Nothing is overwritten: its name is a new one, and the write is refused if it should be there.
"""

from __future__ import annotations

import os
import site
import uuid

from airfleet.agent.inside_storage import ROLE, refused, said

DEADLINE_S = 20
TEXT = b"written by airfleet to see whether task logs can be kept here, and deleted at once\n"
EMULATOR = "STORAGE_EMULATOR_HOST"
GRANT = f"gcloud storage buckets add-iam-policy-binding gs://{{bucket}} --member=serviceAccount:{{who}} --role={ROLE}"


def inside(words, tell):
    """Return {"did", "who"}, or {"refused": …} for the first thing that could not be done."""
    site.main()  # as when Airflow starts: Google's packages share a folder that some hook into by a *.pth
    try:
        from google.api_core import exceptions
        from google.auth import default
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
        from google.cloud import storage
    except ImportError:
        return refused("google-cloud-storage is not in the environment", "add `google` to airflow.extras")
    bucket, login = words["bucket"], None
    try:
        if EMULATOR not in os.environ:
            login, _ = default(scopes=["https://www.googleapis.com/auth/devstorage.read_write"])
        client = storage.Client(project="airfleet", credentials=login)
    except DefaultCredentialsError:
        what = f"this host has no login for gs://{bucket}"
        return refused(what, "give the VM a service account, with the scope cloud-platform")
    for step, do in _steps(client, bucket, words["prefix"]):
        try:
            do()
        except exceptions.Forbidden as e:
            what = f"{_who(login)} may not {step} in gs://{bucket}: {said(e)}"
            return refused(what, GRANT.format(bucket=bucket, who=_who(login)))
        except exceptions.NotFound as e:
            what = f"there is no gs://{bucket}, or it lost what was written: {said(e)}"
            return refused(what, "correct logging.bucket, or make the bucket")
        except GoogleAuthError as e:
            return refused(f"the login of this host does not work: {said(e)}", "look at the VM's service account")
        except (exceptions.GoogleAPIError, OSError, StopIteration) as e:
            what = f"gs://{bucket} could not be asked to {step}: {said(e)}"
            return refused(what, "can this host reach Cloud Storage? fab firewall --probe")
    return {"did": "written, read, listed, deleted", "who": _who(login)}


def _steps(client, bucket, prefix):
    """Return what is done, in order, with its name."""
    from google.api_core.retry import Retry

    blob = client.bucket(bucket).blob(f"{prefix}/airfleet-{uuid.uuid4().hex}".lstrip("/"))
    brief = {"timeout": DEADLINE_S, "retry": Retry(deadline=DEADLINE_S)}
    return (
        ("write", lambda: blob.upload_from_string(TEXT, if_generation_match=0, **brief)),
        ("read", lambda: blob.download_as_bytes(**brief)),
        ("list", lambda: next(iter(client.list_blobs(bucket, prefix=blob.name, **brief)))),
        ("delete", lambda: blob.delete(**brief)),
    )


def _who(login):
    """Return the account of a login, which a machine's own knows from its first use on."""
    return getattr(login, "service_account_email", None) or ("this login" if login else "nobody: an emulator")
