"""intro_yes.py NICK: a laptop that was set up anew is its child's again."""
import sys

from screen import click, see, shoot

see('Is this you')
see(sys.argv[1])
see('4th Grade')
see('entries, last saved today')
shoot('intro-question')
click('Yes, this is me', 'push button')
