"""Workers that end with the process that started them."""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.process import BaseProcess


def end_with_the_parent() -> None:
    """End this process when its parent does, whatever ends that, kill -9 included."""

    def wait(parent: BaseProcess) -> None:
        parent.join()
        os._exit(1)

    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=wait, args=(parent,), daemon=True).start()
