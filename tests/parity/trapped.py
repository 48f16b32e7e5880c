"""Let the modern side write several records, each in a fork of one process, which imports torch once for all.

trapped.py '[["modern", MODEL, DTYPE, BATCHES.npz, OUT.npz, "--trap", T], ...]'    the arguments of record.py
"""

import json
import os
import sys
import traceback

import record
import torch  # noqa: F401  before the forks; a mistake is planted in our own modules before they are imported

failed = 0
for arguments in json.loads(sys.argv[1]):
    process = os.fork()
    if not process:
        try:
            record.main(arguments)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    failed |= os.waitpid(process, 0)[1]
sys.exit(bool(failed))
