#!/usr/bin/env bash
# Tries the lower bounds of pyproject.toml: makes an environment with the oldest version of everything that it allows, outside the
# repository, and runs a selection of the tests in it. It needs the network, about 8 GB of disk, and Python 3.11.
#
#   scripts/oldest.sh              in a temporary folder that is deleted afterwards
#   scripts/oldest.sh FOLDER       in FOLDER, which is kept for another try
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
if (($#)); then
  mkdir -p "$1"
  folder=$(cd "$1" && pwd)
else
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
fi
export UV_CACHE_DIR=$folder/cache HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 PYTHONPATH=$root

[[ -x $folder/uv/bin/uv ]] || { python3 -m venv "$folder/uv" && "$folder/uv/bin/pip" install --quiet uv; }
uv=$folder/uv/bin/uv
python=$folder/env/bin/python
tools=(pytest pytest-timeout pytest-xdist hypothesis) # the newest that there are

# install NAME EXTRAS...: exactly the oldest versions of the package's requirements and of these extras
install() {
  local list=$folder/$1.txt
  shift
  "$uv" pip compile --quiet --resolution lowest-direct --python-version 3.11 "${@/#/--extra=}" --output-file "$list" pyproject.toml
  "$uv" pip sync --quiet --python "$python" "$list"
  "$uv" pip install --quiet --python "$python" "${tools[@]}"
  "$uv" pip install --quiet --python "$python" --no-deps -e "$root" # its version and its command
  grep -E '^[a-z]' "$list" | grep -v nvidia
}

check() {
  "$python" -m pytest -n 0 -q -p no:cacheprovider "$@"
}

[[ -x $python ]] || "$uv" venv --quiet --python 3.11 "$folder/env"
echo "The library alone:"
install library
# timm resizes BEiT in later versions only; before, it is refused, as a model of fixed size is. Pillow reads the YCbCr that it writes
# since version 13.
check tests/capture/test_calls.py tests/capture/test_ablation.py tests/capture/test_gradients.py tests/capture/test_observe.py \
  tests/capture/test_record.py tests/capture/test_attention.py tests/capture/test_modules.py tests/models/test_load.py \
  tests/models/test_embedded.py tests/models/test_hub.py tests/analysis/test_rollout.py tests/draw tests/images \
  --deselect tests/capture/test_modules.py::test_a_copy_of_a_changed_model_is_unchanged \
  --deselect tests/models/test_load.py::test_a_model_of_fixed_size_is_copied_and_told_its_new_size \
  --deselect tests/images/test_colour.py::TestModes::test_ycbcr
echo "With the extras:"
install everything app captum masks metrics ray sign-in transformers
check tests/analysis/methods tests/figures tests/models/hugging_face tests/ui/server tests/ui/compute/test_heavy.py \
  tests/ui/shell/test_startup.py tests/ui/integration/test_operator.py tests/ui/integration/test_pages.py
echo "The oldest versions pass."
