# Shared by the scripts: a Python, a virtual environment, the lock. Sourced, never run.

say() { printf '%s\n' "$*" >&2; }
stop() { say "$0: $*"; exit 1; }

find_python() {
  for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2> /dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

# make_venv FOLDER LOCK: the environment holds exactly what LOCK pins, and the `bastion` program.
make_venv() {
  local folder=$1 lock=$2 stamp python site
  stamp=$(printf '%s\n' "$PWD" | cat - "$lock" scripts/common.sh | sha256sum | cut -d' ' -f1)
  # The stamp holds the folder's name too: a virtual environment that was moved or copied does not work.
  [ "$(cat "$folder/.stamp" 2> /dev/null)" = "$stamp" ] && "$folder/bin/python" -c '' 2> /dev/null && return
  [ -w . ] || stop "$PWD is not writable by $(id -un), and $folder has to be made in it. Clone it to a place of your own."
  python=$(find_python) || stop "Python 3.11, 3.12 or 3.13 is needed and was not found. On Debian 12: apt-get install python3 python3-venv"
  "$python" -c 'import ensurepip' 2> /dev/null || stop "$python lacks the venv module. On Debian 12: apt-get install python3-venv"
  say "Making $folder with $("$python" --version): once, under a minute"
  rm -rf "$folder"
  "$python" -m venv "$folder"
  printf '  installing what %s pins ' "$lock" >&2
  "$folder/bin/python" -m pip install --disable-pip-version-check --progress-bar off --no-compile --only-binary :all: --require-hashes -r "$lock" 2> "$folder/pip.log" |
    while read -r word _; do case $word in Collecting) printf . >&2 ;; esac done ||
    { say; cat "$folder/pip.log" >&2; stop "installing failed: see above. The next run starts afresh."; }
  say " done"
  # The program runs from this checkout: a path file and a launcher, so that no build backend is needed.
  site=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
  printf '%s\n' "$PWD" > "$site/bastion-checkout.pth"
  printf '#!/bin/sh\nexec "$(dirname "$(readlink -f "$0")")/python" -P -m bastion "$@"\n' > "$folder/bin/bastion"
  chmod +x "$folder/bin/bastion"
  "$folder/bin/python" -m compileall -q bastion || true
  printf '%s' "$stamp" > "$folder/.stamp"
}
