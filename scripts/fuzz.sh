#!/usr/bin/env bash
# Coverage-guided fuzzing, for `make fuzz`: every target (or those named) for FUZZ_SECONDS, one after the other. What is installed and
# built, the inputs that the fuzzers have found so far, and their logs are outside the checkout. Ends non-zero on a finding.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds="${FUZZ_SECONDS:-60}"
version=0.13.1
cache="${XDG_CACHE_HOME:-$HOME/.cache}/dracht/fuzz"
export CARGO_TARGET_DIR="$cache/target" PATH="$cache/tools/bin:$PATH"
mkdir -p "$cache/logs"

if ! cargo fuzz --version 2>/dev/null | grep -q "$version"; then
  echo "==> installing cargo-fuzz $version (once)"
  CARGO_TARGET_DIR="$cache/tools/target" cargo install --quiet --locked cargo-fuzz --version "$version" --root "$cache/tools"
fi
command -v c++ >/dev/null || { echo "libFuzzer is C++: install a compiler for it (Debian: g++)." >&2; exit 2; }
echo "==> building the fuzzers (the first time takes a few minutes)"
# No sanitizer: it wants a nightly compiler, and there is no unsafe code in what is called here. Arithmetic and assertions are checked.
(cd fuzz && cargo fuzz build --fuzz-dir . --sanitizer none 2>"$cache/logs/build.log") || { tail -40 "$cache/logs/build.log" >&2; exit 2; }
CARGO_TARGET_DIR="$cache/target" cargo run --quiet --locked -p properties --example seeds "$cache/seeds"

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for file in fuzz/fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi
findings=0
printf '%-16s %12s %10s %10s %10s  %s\n' target executions "per second" edges inputs findings
for target in "${targets[@]}"; do
  binary=("$cache"/target/*/release/"$target")
  inputs="$cache/inputs/$target" found="$cache/findings/$target" log="$cache/logs/$target.log"
  mkdir -p "$inputs" "$found"
  options=(-max_total_time="$seconds" -timeout=30 -rss_limit_mb=2000 -max_len=8192 -print_final_stats=1 -artifact_prefix="$found/")
  [ "$target" = engine ] || options+=(-dict=fuzz/sip.dict)
  result=none
  if ! "${binary[0]}" "$inputs" "$cache/seeds/$target" "${options[@]}" >"$log" 2>&1; then
    result="$(ls -t "$found" | head -1)"
    findings=$((findings + 1))
  fi
  executions="$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
  rate="$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")"
  edges="$(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -d' ' -f2)"
  printf '%-16s %12s %10s %10s %10s  %s\n' "$target" "${executions:-?}" "${rate:-?}" "${edges:-?}" "$(find "$inputs" -type f | wc -l)" "$result"
  if [ "$result" != none ]; then
    grep -A4 -m1 -E 'panicked at|ERROR: libFuzzer' "$log" | cut -c1-400 >&2 || true
    echo "  play it again: ${binary[0]} $found/$result     make it smaller: the same with -minimize_crash=1 -max_total_time=60" >&2
    echo "  when it is mended, keep it: corpus/regressions/$target/NAME-OF-WHAT-WAS-WRONG (see docs/explanation/fuzzing.md)" >&2
  fi
done
exit $((findings > 0))
