#!/usr/bin/env bash
# Mutation testing with cargo-mutants: `tools/mutants.sh ownership` runs every mutant of the code that decides what is
# whose (names, keys, tags, stacks, snapshots, conditional writes, rights); `tools/mutants.sh sample` runs 300 mutants of
# decide, ledger, request and template, always the same ones of the same tree.
#
# It changes the work tree while it runs (a mutant at a time), so run it in a clone. A mutant first meets cf-core's
# tests; what survives those meets cf-sim's too. The survivors are printed at the end and lie in mutants.out/missed.txt.
set -euo pipefail

case "${1-}" in
    ownership)
        files=(names.rs key.rs stack.rs snapshot.rs settings.rs verb.rs effect.rs)
        choose() { cat; }
        ;;
    sample)
        files=('decide/**' 'ledger*' 'ledger/**' request.rs template.rs 'template/**')
        choose() { shuf -n 300 --random-source=<(yes 12); }
        ;;
    *)
        echo "usage: tools/mutants.sh ownership|sample" >&2
        exit 2
        ;;
esac

mutants=(cargo mutants --package cf-core "${files[@]/#/--file=crates/core/src/}")

# The names that cargo-mutants lists are its arguments again, as patterns that match themselves alone. (It takes mutants
# that leave out a field of a struct in any case.)
patterns=()
while IFS= read -r name; do
    # shellcheck disable=SC2001  # bash before 5.2 cannot put what it found into a replacement
    patterns+=(--re "^$(sed 's/[^[:alnum:]_ <>]/\\&/g' <<<"$name")\$")
done < <("${mutants[@]}" --list | choose)

# Unoptimised, a mutant is compiled in three seconds and not in ten.
quick=--cargo-arg=--config=profile.dev.package.cf-core.opt-level=0

run() {
    # 2: some mutants survived, 3: some ran into the time limit; both are in the report.
    CARGO_PROFILE_DEV_DEBUG=0 "${mutants[@]}" --in-place --baseline skip --timeout 120 --test-tool nextest \
        "$quick" "${patterns[@]}" "$@" -- --fail-fast || (($? == 2 || $? == 3))
}

run --test-package cf-core
run --test-package cf-core --test-package cf-sim --iterate
cat mutants.out/missed.txt
