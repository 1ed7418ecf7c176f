# SPDX-License-Identifier: GPL-3.0-or-later
"""A sentence in the place of a list."""

from gettext import gettext as sugar_word  # words that Sugar has itself

from gi.repository import Gdk
from gi.repository import Gtk

from sugar3.graphics import style
from sugar3.graphics.icon import Icon


class Message(Gtk.EventBox):

    __gtype_name__ = 'XoBackupMessage'

    def __init__(self):
        Gtk.EventBox.__init__(self)
        self.modify_bg(Gtk.StateType.NORMAL, style.COLOR_WHITE.get_gdk_color())
        box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=style.DEFAULT_SPACING)
        box.set_valign(Gtk.Align.CENTER)
        box.set_border_width(style.GRID_CELL_SIZE)
        self.add(box)
        box.pack_start(_icon(), False, False, 0)
        self._text = Gtk.Label(justify=Gtk.Justification.CENTER)
        self._text.set_line_wrap(True)
        self._text.modify_fg(Gtk.StateType.NORMAL, Gdk.color_parse(style.COLOR_TOOLBAR_GREY.get_html()))
        box.pack_start(self._text, False, False, 0)
        self._buttons = Gtk.ButtonBox(spacing=style.DEFAULT_SPACING)
        self._buttons.set_layout(Gtk.ButtonBoxStyle.CENTER)
        box.pack_start(self._buttons, False, False, 0)
        box.show_all()

    def say(self, text, again=None, close=None):
        """again, close: what the two buttons do; None: there are none."""
        self._text.set_text(text)
        for button in self._buttons.get_children():
            button.destroy()
        for label, do in ((sugar_word('Retry'), again), (sugar_word('Close'), close)):
            if do is not None:
                self._add_button(label, do)

    def _add_button(self, label, do):
        button = Gtk.Button(label=label)
        button.connect('clicked', lambda button: do())
        self._buttons.add(button)
        button.show()


def _icon():
    return Icon(icon_name='school-server', pixel_size=style.LARGE_ICON_SIZE,
                stroke_color=style.COLOR_BUTTON_GREY.get_svg(), fill_color=style.COLOR_WHITE.get_svg())
