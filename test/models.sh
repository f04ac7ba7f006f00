#!/bin/sh
# SPDX-License-Identifier: ISC
# models: all states of the models in test/models, with spin(1).  Each must be
# right in every configuration, and each bug planted in it (BUG_x) must be found
# in one.  Work and trails go to build/models.
set -u
command -v spin >/dev/null 2>&1 || { echo "models: skipped, no spin"; exit 77; }
CC=${CC:-cc}
LANES=${LANES:-2} # searches at a time, of up to MEMORY MiB
MEMORY=1000
top=$(pwd)
out=$top/build/models

# The cheap ones first: there most bugs are found.
configurations() {
	case $1 in
	cancel) echo THREAD=0,FAILS=1 NW=1,FAILS=1 THREAD=1 ;;
	outcome) echo NW=2 J=3 NW=3,J=1 ;;
	room) echo NW=1 LIMIT=2 NW=2 PLAIN=1 ;;
	shutdown) echo START=1 START=2 ;;
	submit) echo TURN=3 TURN=4,PUTS=0 TURN=4,PUTS=1 NW=3,TURN=2,PUTS=0 ;;
	wakeup) echo NP=2 K=2,REFUSED=0 NP=3,REFUSED=0 ;;
	esac
}

# search DIRECTORY MODEL OPTIMISATION DEFINITIONS: sets states, errors, why.
# Compiled dozens of times, mostly for short searches, so not with -O2.
search() {
	states=0 errors=x why="does not compile, see build/models/${1##*/}"
	mkdir -p "$1" && cd "$1" || return
	spin $(echo "-D$4" | sed 's/,/ -D/g') -a "$top/test/models/$2.pml" \
	    >log 2>&1 &&
	    $CC "$3" -w -DSAFETY -DMEMLIM=$MEMORY -o pan pan.c >>log 2>&1 &&
	    ./pan -m10000 >log 2>&1
	cd "$top" || return
	states=$(awk '/states, stored/ { print $1 }' "$1/log")
	states=${states:-0}
	errors=$(awk '/errors:/ { print $NF }' "$1/log")
	errors=${errors:-x}
	if grep -Eq 'too small|reached -DMEMLIM|out of memory' "$1/log"; then
		[ "$errors" != 0 ] || errors=x
		why="cut short"
	elif [ "$errors" != x ]; then
		why=$(sed -n 's/^pan:1: \(.*\) (at depth.*/\1/p' "$1/log")
	fi
	rm -f "$1"/pan*
}

# task MODEL VARIANT: one line.
task() {
	case $2 in
	BUG_*)
		verdict="NOT FOUND"
		for c in $(configurations "$1"); do
			search "$out/$1-$2/$c" "$1" -O0 "$2,$c"
			[ "$errors" != 0 ] && break
		done
		[ "$errors" = x ] && verdict="NOT FOUND: $why"
		[ "$errors" = x ] || [ "$errors" = 0 ] || verdict=found
		;;
	*)
		search "$out/$1-$2/right" "$1" -O1 "$2"
		verdict="WRONG: $why"
		[ "$errors" = 0 ] && verdict=right
		;;
	esac
	printf '%-9s %-28s %9s  %s\n' "$1" "$2" "$states" "$verdict" |
	    tee -a "$out/lines"
}

# Whoever makes a task's directory does it.
lane() {
	while read -r model variant; do
		mkdir "$out/$model-$variant" 2>/dev/null && task "$model" "$variant"
	done <"$out/tasks"
}

rm -rf "$out"
mkdir -p "$out" || exit 1
for file in test/models/*.pml; do
	model=$(basename "$file" .pml)
	for variant in $(configurations "$model"); do
		echo "$model $variant"
	done
done >"$out/tasks"
for file in test/models/*.pml; do
	model=$(basename "$file" .pml)
	grep -o 'BUG_[A-Z_]*' "$file" | sort -u | sed "s/^/$model /"
done >>"$out/tasks"

i=0
while [ $i -lt "$LANES" ]; do
	lane &
	i=$((i + 1))
done
wait

awk -v tasks="$(wc -l <"$out/tasks")" '
	{ states += $3 }
	/ right$/ { right++ }
	/ found$/ { found++ }
	END {
		bad = tasks - right - found
		printf "models: %d states, %d right, %d bugs found, %d wrong\n",
		    states, right, found, bad
		exit bad != 0
	}' "$out/lines"
