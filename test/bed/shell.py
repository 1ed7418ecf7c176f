"""Starts Sugar's shell as /usr/bin/sugar does, with extensions from elsewhere.

shell.py jarabe.main EXTENSIONS [SOURCES]

SOURCES is the folder sugar of this repository. It is made a site folder, as it is
where the package is installed: so its .pth file is read by Python itself.
"""

import runpy
import site
import sys

extensions = sys.argv[2]
if len(sys.argv) > 3:
    site.addsitedir(sys.argv[3])
sys.argv = ['jarabe.main']

from jarabe import config  # noqa: E402
config.ext_path = extensions

runpy.run_module('jarabe.main', run_name='__main__')
