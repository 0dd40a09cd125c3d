# Sourced: installs Debian packages without starting the services in them.

packages() { # PROGRAM=PACKAGE...: install what is missing, as root on a Debian family system; else say what to do
  local missing=() pair
  for pair in "$@"; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "${0##*/}: missing: ${missing[*]}; install them with your package manager" >&2
    exit 1
  fi
  echo "${0##*/}: installing ${missing[*]}"
  local log policy=/usr/sbin/policy-rc.d own=
  log=$(mktemp)
  if [ ! -e "$policy" ]; then own=yes; printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod +x "$policy"; fi
  # shellcheck disable=SC2064 # now, not later
  trap "rm -f '$log' ${own:+$policy}" EXIT
  export DEBIAN_FRONTEND=noninteractive
  if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
  fi
  rm -f "$log" ${own:+"$policy"}
  trap - EXIT
}
