#!/usr/bin/env bash
# What some tests compare facekit with or show its pages to, and pip cannot put beside it: real mxnet 1.9.1, which needs
# numpy < 1.24 and so a Python from 3.8 to 3.10 and an environment of its own, Chromium with ChromeDriver, and axe-core.
#
#     tools/install_counterparts.sh FOLDER [PYTHON]
#
# FOLDER gets the environment with mxnet; PYTHON makes it, or else the first suitable one that is found. What cannot be
# installed here is said on standard error, with what to do; the tests that want it skip.
set -euo pipefail
folder=$1

first_python() {
  local candidate
  for candidate in "$@" python3.10 python3.9 python3.8 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.{10,9,8}.*/bin/python; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 8) <= sys.version_info[:2] <= (3, 10))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

make_mxnet() {
  "$1" -m venv "$folder" &&
    "$folder/bin/python" -m pip --disable-pip-version-check install --quiet 'mxnet==1.9.1' 'numpy<1.24' &&
    "$folder/bin/python" -c 'import mxnet'
}

if ! [ -x "$folder/bin/python" ] || ! "$folder/bin/python" -c 'import mxnet' 2>/dev/null; then
  if ! python=$(first_python "${@:2}"); then
    echo "no Python from 3.8 to 3.10 here, which mxnet 1.9.1 needs: make test-all MXNET_PYTHON=python3.10" >&2
  elif ! make_mxnet "$python"; then
    rm -rf "$folder"
    echo "mxnet 1.9.1 cannot be installed with $python: see above" >&2
  fi
fi

if ! command -v chromedriver >/dev/null || ! command -v chromium google-chrome >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium chromium-driver >/dev/null ||
      echo "chromium and chromium-driver cannot be installed with apt-get: see above" >&2
  else
    echo "no Chromium and ChromeDriver here: install both (on Debian: sudo apt-get install chromium chromium-driver)" >&2
  fi
fi

axe=$(dirname "$folder")/.venv-axe
if ! [ -f "$axe/node_modules/axe-core/axe.min.js" ]; then
  if ! command -v npm >/dev/null; then
    echo "no npm here, which brings axe-core: install it (on Debian: sudo apt-get install npm)" >&2
  elif ! npm install --silent --no-fund --no-audit --prefix "$axe" axe-core >/dev/null; then
    echo "axe-core cannot be installed with npm: see above" >&2
  fi
fi
