# SPDX-License-Identifier: GPL-3.0-or-later
"""How the page of intro gets into Sugar's first-boot wizard, which has no place for
one: when the shell imports the wizard's module, its box is replaced by one that has
the page.

xobackup.pth imports this at the start of Sugar's shell, and of nothing else.
Whatever goes wrong here, the wizard is as it was.
"""

import importlib.util
import logging
import sys

_WIZARD = 'jarabe.intro.window'


class _Finder(object):
    """Finds the wizard where everybody else does, once."""

    def find_spec(self, name, path=None, target=None):
        if name != _WIZARD:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        try:
            _extend_after(spec.loader)
        except Exception:
            logging.exception('backup: the first-boot wizard is as it was')
        return spec


def _extend_after(loader):
    execute = loader.exec_module

    def exec_module(module):
        execute(module)
        _extend(module)

    loader.exec_module = exec_module


def _extend(module):
    try:
        from xobackup import intro
        intro.extend(module)
    except Exception:
        logging.exception('backup: the first-boot wizard is as it was')


sys.meta_path.insert(0, _Finder())
