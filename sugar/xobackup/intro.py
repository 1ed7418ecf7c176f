# SPDX-License-Identifier: GPL-3.0-or-later
"""The first-boot wizard's page before name and colour: is this you?

extend(module) replaces the box of Sugar's jarabe.intro.window by one that asks first.
The pages are in intropages, what they do in introflow. It is put in by feature:
where Sugar has changed under it, the wizard is as it was.
"""

import inspect

from gi.repository import GObject
from gi.repository import Gtk
from sugar3.graphics import style
from sugar3.graphics.xocolor import XoColor

from xobackup.daemon import get_daemon
from xobackup.introflow import Flow
from xobackup.intropages import make_quiet
from xobackup.words import _


def extend(module):
    """Raises if the module is not what it was."""
    stock = module._IntroBox
    _check(module, stock)

    class IntroBox(_Asking, stock):
        wizard = module

    module._IntroBox = IntroBox


def _check(module, stock):
    """What is used here must be there, and take what it took."""
    for name, parameters in (('__init__', ['self', 'start_on_age_page']), ('_setup_page', ['self']), ('back', ['self']),
                             ('__next__', ['self']), ('done', ['self'])):
        if list(inspect.signature(getattr(stock, name)).parameters) != parameters:
            raise TypeError('%s takes something else' % name)
    ends = (stock.PAGE_FIRST, stock.PAGE_LAST)
    if not {'NAME', 'COLOR', 'AGE'} <= set(stock.PAGES) or ends != (0, len(stock.PAGES) - 1):
        raise TypeError('other pages: %r' % stock.PAGES)
    if not issubclass(stock, Gtk.Box) or not GObject.signal_lookup('done', stock):
        raise TypeError('no box that tells that it is done')
    for owner, names in ((module._NamePage, ('get_name', 'set_name')), (module._ColorPage, ('get_color',)),
                         (module._GenderPage, ('get_gender',)), (module._AgePage, ('get_age',)),
                         (module.UserProfile(), ('nickname', 'colors', 'gender', 'age')),
                         (module.agepicker, ('group_label_to_age',))):
        # Not what is inherited: each of GTK's widgets has a set_name that is another.
        if not set(names) <= set(vars(owner)):
            raise TypeError('%r is not what it was' % owner)


class _Asking(object):
    """What Sugar's _IntroBox becomes."""

    wizard = None  # Sugar's module
    _flow = None  # while there may be something to ask
    _shown = None  # our page that is showing
    _link = None  # to the question, on the wizard's own pages
    _owner = None  # whose laptop it is, once that is known

    def __init__(self, start_on_age_page):
        super(_Asking, self).__init__(start_on_age_page)
        self._begins_with = self._page
        if not start_on_age_page:
            self._flow = Flow(self, get_daemon())
            self._flow.begin()

    def give_up(self):
        """The wizard goes on as it was."""
        self._flow = self._owner = None
        self.__dict__.pop('PAGES', None)
        self.__dict__.pop('PAGE_FIRST', None)
        self.show_wizard('')

    # What the flow says.

    def show_page(self, page):
        for child in self.get_children():
            self.remove(child)
        self._shown = page
        self.pack_start(page, True, True, 0)
        page.show_all()
        window = self.get_toplevel()
        if isinstance(window, Gtk.Window):
            window.set_focus(None)
        page.focus()

    def show_wizard(self, nick):
        self._shown = None
        if nick:
            self._name_page.set_name(nick)
        self._setup_page()

    def server_is_there(self):
        if self._link is not None:
            self._link.show()

    def finish(self, owner):
        """Ends the wizard, after those of its pages that still have something to ask."""
        self._shown, self._owner = None, owner
        known = {'NAME': owner.nick, 'COLOR': owner.color, 'GENDER': True, 'AGE': self._age_of(owner)}
        self.PAGES = [False if known.get(page) else page for page in self.PAGES]
        asked = [i for i, page in enumerate(self.PAGES) if page]
        self._page = self.PAGE_FIRST = (asked + [self.PAGE_LAST])[0]
        self._setup_page()

    def _age_of(self, owner):
        return self.wizard.agepicker.group_label_to_age(owner.group)

    # What the wizard says.

    def _setup_page(self):
        super(_Asking, self)._setup_page()
        if self._flow is not None and self._owner is None and self._page <= self._begins_with:
            self._add_link()

    def _add_link(self):
        self._link = make_quiet(Gtk.Button(label=_('I had a laptop before')))
        self._link.connect('clicked', lambda link: self._flow.ask())
        # As high as with it: nothing moves when it comes.
        row = Gtk.Box(height_request=style.GRID_CELL_SIZE)
        row.set_center_widget(self._link)
        self.pack_start(row, False, True, 0)
        self.reorder_child(row, 1)
        row.show()
        if self._flow.is_server_there():
            self._link.show()

    def __next__(self):
        if self._shown is not None:
            self._shown.next()
        else:
            super(_Asking, self).__next__()

    def back(self):
        if self._shown is not None:
            self._shown.back()
        else:
            super(_Asking, self).back()

    def done(self):
        if self._owner is None:
            super(_Asking, self).done()
            return
        profile = self.wizard.UserProfile()
        profile.nickname = self._owner.nick or self._name_page.get_name()
        profile.colors = XoColor(self._owner.color) if self._owner.color else self._color_page.get_color()
        profile.gender = self._gender_page.get_gender()
        profile.age = self._age_of(self._owner) or self._age_page.get_age()
        self.emit('done', profile)
