# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# A directory to be shared with mode=guarded, and the judge of what has become of it: used with a machine and without.

# make_tree DIR: as projects have it: repositories with submodules, settings of editors, links, several names, hooks in a place of their own
make_tree() {
	rm -rf "${1:?}"
	as_user mkdir -p "$1"
	# shellcheck disable=SC2016
	as_user sh -c '
		set -e
		umask 022
		cd "$1"
		as_git() { git -c user.name=a -c user.email=a@b -c init.defaultBranch=main -c protocol.file.allow=always "$@"; }
		as_git init -q sub.src && echo sub >sub.src/file
		(cd sub.src && as_git add . && as_git commit -qm sub)
		as_git init -q repo
		(cd repo && as_git submodule --quiet add ../sub.src mod && echo one >one && as_git add . && as_git commit -qm one)
		rm -rf sub.src
		mkdir -p vendor && cp -r repo vendor/sub && as_git init -q --bare bare.git
		(cd repo && git config user.name a && git config user.email a@b && git config core.hooksPath ../tools/hooks)
		mkdir -p tools/hooks tools/husky editor/.vscode config src new renv env/bin
		echo "deactivate() { :; }" >env/bin/activate && echo "local({})" >renv/activate.R && echo "{}" >.pnp.cjs
		printf "[core]\n\tfsmonitor = \"../../tools/monitor\"\n" >>vendor/sub/.git/config
		printf "\tattributesFile = \"../../later/attributes\"\n" >>vendor/sub/.git/config
		echo "exit 0" >tools/hooks/pre-commit && cp tools/hooks/pre-commit tools/husky/pre-commit && cp tools/hooks/pre-commit tools/monitor
		echo "{}" >editor/.vscode/tasks.json
		ln -s tools/husky .husky
		echo "export A=1" >config/envrc && ln -s config/envrc .envrc
		echo "text" >innocent && ln innocent .npmrc && echo "text" >aliased && ln aliased .irbrc
		echo "int main;" >src/main.c && echo "all:" >Makefile && echo "{}" >package.json' sh "$1"
}

# dangers DIR: all in it that the host would run, and all that has no business there
dangers() {
	python3 "$VMS_TESTS_TOP/tests/vm/guarded_judge.py" "$1"
}
