#!/bin/bash
# Double-click on macOS. The Terminal window shows the first set-up and stays open if the start fails.
cd "$(dirname "$0")/.." || exit 1
for python in python3.13 python3.12 python3.11 python3; do
    if command -v "$python" >/dev/null && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        "$python" main.py && exit 0
        read -r -p "AtomSeg could not start; the reason is above. Press Return to close. "
        exit 1
    fi
done
read -r -p "AtomSeg needs Python 3.11 or newer from python.org. Press Return to close. "
exit 1
