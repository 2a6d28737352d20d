# For secrets: password stores, signing keys, consoles of providers. Run as little as possible in here.
# Nothing of the host is shared with it. Do not add shares, and no tools that download and run code.

[profile]
inherits=base
summary=Passwords, signing keys and admin consoles; shares nothing with the host

[machine]
disk=10GiB
# It runs when you have said so (vms start), never because some script wanted to use it.
start-on-exec=no
# Its memory is never kept in a file.
start=boot
# encrypt=yes in your own profile encrypts its disk, and each start asks for the passphrase.

# No way out. What it needs you list, such as mode=nat with egress=443/tcp, or with allow=10.0.0.5:636/tcp.
[network]
mode=none

# What must not be in it: provisioning and the machine's apt refuse it, `vms verify` looks for it.
[policy]
forbid=nodejs*;node;npm;npx;corepack;yarn*;docker*;podman*;containerd*;buildah*;claude*;@anthropic-ai/*;codex*;@openai/*;gemini*;@google/gemini-cli;aider*;ollama*
