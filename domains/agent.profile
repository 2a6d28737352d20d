# For AI agents that work on a project of yours with full autonomy: the tools, Docker for their servers, the
# internet, and nothing else: not your LAN, not this host, no drop box. Give it the project with
#   vms create NAME --profile agent --share DIR
# Log in to the tools inside the machine; what you enter there, everything in it can use.

[profile]
inherits=base
summary=AI agents on a project of yours: their tools and Docker inside, no LAN, no host

[machine]
disk=40GiB

[provision]
use=claude-code;codex;gemini-cli;docker;gh;shell
