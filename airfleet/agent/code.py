"""DAG code: a bare mirror of the repository, and for each deployed commit a tree of its own that nobody edits.

A release is made by git from the mirror with an index of its own, beside its place, then renamed. Its mark, outside
the tree, holds what every file then was (size, time, mode): a look compares that without starting a program.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time

from airfleet.agent import files, owned, paths, run
from airfleet.agent.git import git, no_room

MARK = "airfleet.json"
PASSED_OVER = {"__pycache__"}  # Python's own, written by whoever imports the code
NAMED_LIMIT = 3
NUMBER = (int, float)
COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
REFS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
KEPT = "refs/airfleet/"  # no branch of the server's: a forced push must not take away what is deployed
FOLLOWED = "refs/airfleet-branches/"  # what a branch was when it was last taken: a forced push stays one until accepted


def look_mirror(path, ask):
    """Return the address that it mirrors, from the mark of a finished clone."""
    mark = owned.read_mark(f"{path}/{MARK}")
    return ({"url": mark.get("url", "unknown")} if mark else None), {}


def make_mirror(path, seen, want, means, tell):
    """Clone the branches and tags beside its place, then rename."""
    account, url = means["account"], want["url"]
    owned.end_strays(path)
    beside, old = f"{path}.new", f"{path}.old"
    for leftover in (beside, old):
        owned.remove(leftover, account)
    owned.make_folder(os.path.dirname(path), account)
    try:
        git(["init", "--quiet", "--bare", beside], account=account)
        here = ["--git-dir", beside]
        git([*here, "remote", "add", "--", "origin", url], account=account)
        git([*here, "config", "--replace-all", "remote.origin.fetch", REFS[0]], account=account)
        git([*here, "config", "--add", "remote.origin.fetch", REFS[1]], account=account)
        git([*here, "config", "gc.auto", "0"], account=account)
        tell(f"cloning {url}")
        _fetch(beside, url, means, making=path)
        owned.write_mark(f"{beside}/{MARK}", want, account)
        if os.path.lexists(path):
            owned.rename(path, old, account)
        owned.rename(beside, path, account)
    finally:
        for leftover in (beside, old):
            owned.remove(leftover, account)


def _fetch(mirror, url, means, making, refs=()):
    account = means["account"]
    for lock in ("packed-refs.lock", "shallow.lock", "config.lock", "HEAD.lock"):
        owned.remove(f"{mirror}/{lock}", account)  # left by one that was killed; the fleet's lock keeps others away
    words = ["--git-dir", mirror, "fetch", "--quiet", "--prune", "--no-auto-gc", "--force", "origin", *refs]
    git(words, account=account, url=url, ssh=means.get("ssh"), env=owned.making(making))


def resolve(words, tell):
    """Fetch, and return the commit that words["ref"] (a branch, a tag or a commit) now is.

    `words` are {"mirror", "ref", "account", "ssh"}, and "requirements", the path of a file of it, or not. `forced` is
    true where the branch no longer contains what it was, until that is accepted ("accept_forced").
    """
    mirror, ref, account = words["mirror"], words["ref"], words["account"]
    url = _url(mirror)
    before = _commit(mirror, FOLLOWED + ref, account) or _commit(mirror, f"refs/heads/{ref}", account)
    try:
        _fetch(mirror, url, words, making=mirror)
    except run.Refused as e:
        if e.kind not in ("unreachable", "login"):
            raise
        raise run.Refused(e.what, kind="away", remedy=e.remedy, tail=e.tail) from e
    commit = _named(mirror, ref, account, url)
    shown = _git(mirror, ["show", "--no-patch", "--format=%s%n%an%n%cI", commit], account).split("\n")
    subject, author, date = [*shown, "", "", ""][:3]
    forced = False
    if before and before != commit:
        base = _git(mirror, ["merge-base", before, commit], account, ok=(0, 1)).strip()
        forced = base != before
    if before and before != commit:
        taken = before if forced and not words.get("accept_forced") else commit
        _git(mirror, ["update-ref", FOLLOWED + ref, taken], account, ok=(0, 1, 128))
    return {
        "commit": commit,
        "subject": subject,
        "author": author,
        "date": date,
        "forced": forced,
        "before": before,
        "requirements": text_of(mirror, commit, words.get("requirements"), account),
    }


def text_of(mirror, commit, name, account):
    """Return the text of a file of a commit; "" where there is none, or none is asked for."""
    if not name:
        return ""
    return _git(mirror, ["cat-file", "blob", f"{commit}:{name}"], account, ok=(0, 128))


def _named(mirror, ref, account, url):
    branch, tag = (_commit(mirror, f"refs/{kind}/{ref}", account) for kind in ("heads", "tags"))
    if branch and tag and branch != tag:
        raise run.Refused(
            f"{ref} is a branch and a tag, of different commits, in {url}", kind="ref", remedy="name the commit itself"
        )
    found = branch or tag or _commit(mirror, ref, account)
    if found:
        return found
    text = _git(
        mirror,
        ["for-each-ref", "--format=%(refname:short)", "--sort=-committerdate", "--count=8", "refs/heads"],
        account,
    )
    branches = ", ".join(text.split()) or "none: it is empty"
    raise run.Refused(
        f"no branch, tag or commit {ref} in {url}", kind="ref", remedy=f"choose another; its branches are {branches}"
    )


def look_release(folder, ask):
    """Return the commit, if its tree is whole; and what was edited there since.

    Asked about no commit in particular (null), it is the one that `current`, beside the folder, leads to.
    """
    commit = ask.get("commit") or _current(folder)
    if not commit:
        return None, {}
    mark = owned.read_mark(f"{folder}/.{commit}.json", tree=str, made_at=NUMBER)
    tree = f"{folder}/{commit}"
    if not mark or not os.path.isdir(tree) or os.path.islink(tree):
        return None, {}
    state = {"commit": commit}
    listing = _listing(tree)
    if _digest(listing) != mark["tree"]:
        state["edited"] = _edited(tree, listing, mark["made_at"])
    detail = {"subject": mark.get("subject", "")}
    if ask.get("requirements"):
        detail["requirements"] = files.look_file(f"{tree}/{ask['requirements']}", {})[1].get("text", "")
    return state, detail


def _current(folder):
    target = files.look_link(os.path.join(os.path.dirname(folder), "current"), {})[0]
    return os.path.basename(target["target"]) if target else None


def make_release(folder, seen, want, means, tell):
    """Check the commit out beside its place and rename; or put back what was edited, keeping the edits in a patch."""
    commit, account, mirror = want["commit"], means["account"], means["mirror"]
    if not COMMIT.fullmatch(commit):
        raise run.Refused(f"not a full commit: {commit}")
    owned.end_strays(folder)
    owned.make_folder(folder, account)
    have(mirror, commit, means, tell)
    tree, beside, index = f"{folder}/{commit}", f"{folder}/.{commit}.new", f"{folder}/.{commit}.index"
    owned.remove(beside, account)
    owned.remove(f"{index}.lock", account)
    told = {}
    if seen and seen["commit"] == commit:
        told = _put_back(tree, index, commit, means)
    else:
        owned.remove(f"{folder}/.{commit}.json", account)
        owned.remove(tree, account)
        owned.remove(index, account)
        owned.make_folder(beside, account)
        try:
            _tree(means, beside, index, ["read-tree", commit])
            _tree(means, beside, index, ["checkout-index", "--all", "--force", "--index"])
        except run.Refused as e:
            raise no_room(folder, e) from e
        owned.rename(beside, tree, account)
        if os.path.exists(f"{tree}/.gitmodules"):
            tell("the repository has submodules: they are not fetched")
    subject = _git(mirror, ["show", "--no-patch", "--format=%s", commit], account).strip()
    mark = {"commit": commit, "subject": subject, "tree": _digest(_listing(tree)), "made_at": time.time()}
    owned.write_mark(f"{folder}/.{commit}.json", mark, account)
    return told


def have(mirror, commit, means, tell):
    """Make sure that the mirror has this commit and keeps it, whatever is pushed later."""
    account, url = means["account"], _url(mirror)
    if not _commit(mirror, commit, account):
        tell("fetching")
        _fetch(mirror, url, means, making=mirror)
    if not _commit(mirror, commit, account):
        try:
            _fetch(mirror, url, means, making=mirror, refs=(f"+{commit}:{KEPT}{commit}",))
        except run.Refused as e:
            if e.kind != "failed":
                raise
            raise run.Refused(
                f"commit {commit} is not in {url}", kind="ref", remedy="push it, or name another one", tail=e.tail
            ) from e
    _git(mirror, ["update-ref", KEPT + commit, commit], account)


def _put_back(tree, index, commit, means):
    """Keep what was edited in a patch beside the release, then make each file again what the commit says."""
    account, folder = means["account"], os.path.dirname(tree)
    shadow = f"{index}.edited"
    owned.remove(shadow, account)
    run.run(["cp", "--", index, shadow], user=account)
    _tree(means, tree, shadow, ["add", "--all", "--force", "--", ".", ":(exclude,glob)**/__pycache__/**"])
    patch = _tree(
        means, tree, shadow, ["diff", "--cached", "--binary", "--no-ext-diff", "--no-color", commit], errors=False
    )
    owned.remove(shadow, account)
    told = {}
    if patch.strip():
        kept = f"{folder}/.{commit}.{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.patch"
        owned.write(kept, patch, account, mode=0o600)
        told = {"patch": kept}
    _tree(means, tree, index, ["read-tree", "--reset", "-u", commit])
    _tree(means, tree, index, ["clean", "--quiet", "-ffdx", "--exclude=__pycache__"])
    run.run(["chmod", "-R", "go-w,u+rwX", "--", tree], user=account)
    return told


def _tree(means, tree, index, words, errors=True):
    """Run git on this tree with this index: the mirror itself learns nothing of it."""
    env = owned.making(os.path.dirname(tree), {"GIT_INDEX_FILE": index})
    here = ["-c", "core.bare=false", "--git-dir", means["mirror"], "--work-tree", tree]
    return git([*here, *words], account=means["account"], env=env, errors=errors, cwd=tree)


def _listing(tree):
    """Return (name, mode, size, time) of each file and folder of a tree; of a folder only name and mode."""
    found = []
    for name, info in paths.walk(tree, PASSED_OVER):
        plain = not stat.S_ISDIR(info.st_mode)
        found.append((name, info.st_mode, info.st_size if plain else 0, info.st_mtime_ns if plain else 0))
    return sorted(found)


def same(folder, one, other, inside):
    """Tell whether two releases have the same files in this folder of theirs."""
    contents = _contents(f"{folder}/{one}", inside)
    return contents is not None and contents == _contents(f"{folder}/{other}", inside)


def _contents(release, inside):
    """Return the files of a folder of a release; None where a link leads out of the release."""
    release, tree = os.path.realpath(release), os.path.realpath(f"{release}/{inside}")
    if not f"{tree}/".startswith(f"{release}/"):
        return None
    if not os.path.isdir(tree):
        return []
    found = []
    for name, mode, _, time_ns in _listing(tree):
        state = files.look_file(f"{tree}/{name}", {})[0] if time_ns else None
        found.append((name, mode, state and state["sha256"]))
    return found


def _digest(listing):
    return hashlib.sha256(repr(listing).encode("utf-8", "surrogateescape")).hexdigest()


def _edited(tree, listing, made_at):
    """Return the names of what was written in a tree after it was made, or that something was taken away."""
    names = [name for name, _, _, time_ns in listing if time_ns and os.lstat(f"{tree}/{name}").st_ctime > made_at]
    if not names:
        return "files or permissions differ"
    more = f" and {len(names) - NAMED_LIMIT} more" if len(names) > NAMED_LIMIT else ""
    return ", ".join(names[:NAMED_LIMIT]) + more


def _url(mirror):
    mark = owned.read_mark(f"{mirror}/{MARK}", url=str)
    if not mark:
        raise run.Refused(f"there is no mirror at {mirror}", kind="missing", remedy="run: fab bootstrap")
    return mark["url"]


def _commit(mirror, name, account):
    """Return the commit of this name in the mirror, or "" where there is none."""
    words = ["rev-parse", "--verify", "--quiet", "--end-of-options", name + "^{commit}"]
    found = _git(mirror, words, account, ok=(0, 1, 128)).strip()
    return found if COMMIT.fullmatch(found) else ""


def _git(mirror, words, account, ok=(0,)):
    return git(["--git-dir", mirror, *words], account=account, ok=ok, errors=False)
