# Shared by the scripts: a Python, a virtual environment, the lock. Sourced, never run.

say() { printf '%s\n' "$*" >&2; }
stop() { say "$0: $*"; exit 1; }

find_python() {
  for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  stop "Python 3.11, 3.12 or 3.13 is needed and was not found. On Debian 12: apt-get install python3 python3-venv"
}

# make_venv FOLDER LOCK: the environment holds exactly what LOCK pins, and the `bastion` program.
make_venv() {
  local folder=$1 lock=$2 stamp python
  stamp=$(cat "$lock" pyproject.toml | sha256sum | cut -d' ' -f1)
  [ -x "$folder/bin/bastion" ] && [ "$(cat "$folder/.stamp" 2>/dev/null)" = "$stamp" ] && return
  python=$(find_python)
  if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    stop "$python lacks the venv module. On Debian 12: apt-get install python3-venv"
  fi
  say "Making $folder with $("$python" --version) (once; about 20 s)"
  rm -f "$folder/.stamp"
  [ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
  say "  installing what $lock pins"
  "$folder/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r "$lock"
  # The program runs from this checkout: a path file and a launcher, so that no build backend is needed.
  local site
  site=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
  printf '%s\n' "$PWD" > "$site/bastion-checkout.pth"
  printf '#!%s/bin/python\nfrom bastion.__main__ import main\n\nmain()\n' "$(cd "$folder" && pwd)" > "$folder/bin/bastion"
  chmod +x "$folder/bin/bastion"
  "$folder/bin/python" -m compileall -q bastion || true
  printf '%s' "$stamp" > "$folder/.stamp"
}
