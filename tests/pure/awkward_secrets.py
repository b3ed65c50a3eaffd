"""A key of several lines, and values that every kind of quoting stumbles over."""

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\nqrstuvwx\n-----END OPENSSH PRIVATE KEY-----\n"
HARD = [
    "p@:/%",
    "with space",
    "it's",
    'say "x"',
    "100%%",
    "$(reboot)",
    "`id`",
    "b\\s1",
    "비밀번호야",
    "a+b/c=d",
    "#x: y",
]
