# SPDX-License-Identifier: GPL-3.0-or-later
"""What intro shows in the first-boot wizard: pages without any thought of their own.

Return does nothing on them, and nothing has the focus at first: a child who presses
it must not become another child. Only a code that is typed is tried by it.
"""

from gi.repository import GLib
from gi.repository import Gtk
from gi.repository import Pango
from sugar3.graphics import style
from sugar3.graphics.icon import Icon
from sugar3.graphics.xocolor import XoColor

from xobackup import words
from xobackup.words import _

_CODE_DIGITS = 8
_FIGURE = style.zoom(220)
_LINE = 60  # characters that a child reads with ease


class Page(Gtk.Box):
    """back is what Escape does, and a button Back where it is given."""

    def __init__(self, title='', back=None):
        Gtk.Box.__init__(self, orientation=Gtk.Orientation.VERTICAL, spacing=style.DEFAULT_SPACING)
        self._buttons = []
        self._back = back
        self.middle = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=style.DEFAULT_SPACING)
        self.middle.set_valign(Gtk.Align.CENTER)
        self.pack_start(self.middle, True, True, 0)
        self._said = _label('\n')  # as high as with a text: nothing moves when it comes
        self.middle.pack_end(self._said, False, True, 0)
        if title:
            self.add_middle(_label(title, 'xx-large'))
        if back is not None:
            foot = Gtk.ButtonBox(layout_style=Gtk.ButtonBoxStyle.START)
            foot.add(self.button(_('Back'), back, icon='go-left'))
            self.pack_end(foot, False, True, 0)

    def add_middle(self, widget, fill=False):
        if not fill:
            widget.set_halign(Gtk.Align.CENTER)
        self.middle.pack_start(widget, fill, fill, 0)
        return widget

    def button(self, label, pressed, icon=None, quiet=False):
        """A button that does nothing while the page waits for an answer."""
        button = Gtk.Button(label=label)
        if icon is not None:
            button.set_image(Icon(icon_name=icon))
        if quiet:
            make_quiet(button)
        button.connect('clicked', lambda button: pressed())
        self._buttons.append(button)
        return button

    def row(self, *buttons):
        box = Gtk.Box(spacing=style.DEFAULT_SPACING, homogeneous=True, margin_top=style.DEFAULT_SPACING)
        for button in buttons:
            box.pack_start(button, True, True, 0)
        return self.add_middle(box)

    def wait(self):
        self._say(_('One moment…'), False)

    def say(self, text, detail=''):
        """What is wrong; detail is for who looks after the laptops."""
        self._say(text, True, detail)

    def _say(self, text, ready, detail=''):
        self._said.set_markup('<span size="large">%s</span>\n<small>%s</small>' % (
            GLib.markup_escape_text(text), GLib.markup_escape_text(detail)))
        for button in self._buttons:
            button.set_sensitive(ready)

    def focus(self):
        """What is called when it is shown."""

    def next(self):
        """What Return does."""

    def back(self):
        if self._back is not None and self._buttons[0].get_sensitive():
            self._back()


class Waiting(Page):
    """While the school server is asked. Who waits but a moment sees nothing."""

    def __init__(self):
        Page.__init__(self)
        looking = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=style.DEFAULT_SPACING)
        looking.add(figure('', _FIGURE))
        looking.add(_label(_('Looking for your Journal at school…')))
        looking.show_all()
        looking.set_no_show_all(True)
        looking.hide()
        self.add_middle(looking)
        GLib.timeout_add(700, looking.show)


class Question(Page):
    """Is this you?"""

    def __init__(self, offer, yes, no, code, back):
        Page.__init__(self, _('Is this you?'), back)
        self.add_middle(figure(offer.color, _FIGURE))
        for text, size in _about(offer):
            self.add_middle(_label(text, size))
        self.row(self.button(_('Yes, this is me'), yes, icon='dialog-ok'),
                 self.button(_('No, start afresh'), no, icon='dialog-cancel'))
        self.add_middle(self.button(_('I have a code'), code, quiet=True))


class Choice(Page):
    """Which one is you?"""

    def __init__(self, offers, chosen, none, code):
        Page.__init__(self, _('Which one is you?'))
        box = Gtk.FlowBox(homogeneous=True, selection_mode=Gtk.SelectionMode.NONE,
                          min_children_per_line=2, max_children_per_line=min(len(offers), 4),
                          column_spacing=style.DEFAULT_SPACING, row_spacing=style.DEFAULT_SPACING)
        box.set_halign(Gtk.Align.CENTER)
        box.set_valign(Gtk.Align.CENTER)
        for offer in offers:
            box.add(self._child(offer, chosen))
        for child in box.get_children():
            child.set_can_focus(False)  # its button has it
        scrolled = Gtk.ScrolledWindow(hscrollbar_policy=Gtk.PolicyType.NEVER, propagate_natural_height=True)
        scrolled.add(box)
        self.add_middle(scrolled, fill=True)
        self.row(self.button(_('None of these'), none, icon='dialog-cancel'))
        self.add_middle(self.button(_('I have a code'), code, quiet=True))

    def _child(self, offer, chosen):
        button = self.button(None, lambda: chosen(offer))
        box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=style.DEFAULT_PADDING)
        box.add(figure(offer.color, style.LARGE_ICON_SIZE))
        for text, size in _about(offer, small=True):
            box.add(_label(text, size, 20))
        button.add(box)
        _style(button, _CARD)
        button.get_accessible().set_name(offer.nick or offer.account)
        return button


class Code(Page):
    """A code that the teacher gives, for whatever laptop this is."""

    def __init__(self, typed, none, back):
        Page.__init__(self, _('Type your code'), back)
        self._typed = typed
        self.add_middle(_label(_('Your teacher can give you one. It has eight digits.')))
        self._entry = Gtk.Entry(max_length=40, width_request=style.zoom(330), xalign=0.5,
                                input_purpose=Gtk.InputPurpose.DIGITS)
        self._entry.get_accessible().set_name(_('Code'))
        self._entry.connect('changed', self.__changed_cb)
        self._entry.connect('activate', lambda entry: self.next())
        attributes = Pango.AttrList()
        attributes.insert(Pango.attr_scale_new(2))
        self._entry.set_attributes(attributes)
        self.add_middle(self._entry)
        self._ok = self.button(_('OK'), self.next, icon='dialog-ok')
        self._ok.set_sensitive(False)
        self.row(self._ok)
        self.add_middle(self.button(_('I have no code'), none, quiet=True))

    def _complete(self):
        # Of whatever script; the daemon looks closer.
        return sum(c.isdigit() for c in self._entry.get_text()) >= _CODE_DIGITS

    def focus(self):
        self._entry.grab_focus()

    def next(self):
        if self._ok.get_sensitive():
            self._typed(self._entry.get_text())

    def say(self, text, detail=''):
        Page.say(self, text, detail)
        self._ok.set_sensitive(self._complete())
        self._entry.grab_focus()

    def __changed_cb(self, entry):
        self._ok.set_sensitive(self._complete())


class Sign(Page):
    """A person at the school server has to let this laptop in."""

    def __init__(self, sign, go_on):
        Page.__init__(self, _('Show this to your teacher'))
        self.sign = sign
        frame = Gtk.Frame()
        label = _label(sign, '30pt')
        label.set_selectable(False)
        label.set_margin_start(style.DEFAULT_SPACING)
        label.set_margin_end(style.DEFAULT_SPACING)
        frame.add(label)
        self.add_middle(frame)
        self.add_middle(_label(_('When your teacher has said yes at the school server, your Journal comes by itself.')))
        self.add_middle(Gtk.Spinner(active=True))
        self.row(self.button(_('Go on without it'), go_on, icon='go-right'))


class Progress(Page):
    """The Journal comes back."""

    def __init__(self, offer, go_on):
        Page.__init__(self, _('Your Journal is coming back'))
        self.add_middle(figure(offer.color, _FIGURE))
        if offer.nick:
            self.add_middle(_label(offer.nick, 'x-large'))
        self._bar = Gtk.ProgressBar()
        self._bar.set_size_request(style.zoom(400), -1)
        self.add_middle(self._bar)
        self._left = self.add_middle(_label(' '))
        self._go_on = self.button(_('Start now'), go_on, icon='go-right')
        self.row(self._go_on)

    def show_progress(self, fraction, seconds_left):
        if fraction is None:
            self._bar.pulse()
        else:
            self._bar.set_fraction(fraction)
        self._left.set_text(words.left(seconds_left) or ' ')

    def fail(self, text):
        self._bar.hide()
        self._left.hide()
        self._go_on.set_label(_('Go on'))
        self.say(text)


def make_quiet(button):
    """Like a link: it is there for who looks for it."""
    button.get_child().set_markup('<u>%s</u>' % GLib.markup_escape_text(button.get_label()))
    return _style(button, _QUIET)


_QUIET = """button { background: none; border-color: transparent; color: #404040; }
button:focus { border-color: #808080; }
button:disabled { color: #808080; }"""

# The figures' colours are meant for white.
_CARD = """button { background: #ffffff; border-color: #c0c0c0; color: #000000; }
button:focus, button:hover { border-color: #808080; }
button:disabled label { color: #808080; }"""


def _style(widget, css):
    provider = Gtk.CssProvider()
    provider.load_from_data(css.encode())
    widget.get_style_context().add_provider(provider, Gtk.STYLE_PROVIDER_PRIORITY_APPLICATION)
    return widget


def figure(color, size):
    """The XO in the child's colours, in grey where nobody knows them."""
    icon = Icon(icon_name='computer-xo', pixel_size=size)
    if color:
        icon.props.xo_color = XoColor(color)
    else:
        icon.props.stroke_color = style.COLOR_BUTTON_GREY.get_svg()
        icon.props.fill_color = style.COLOR_WHITE.get_svg()
    return icon


def _about(offer, small=False):
    """The lines that say whose Journal it is."""
    yield offer.nick or offer.account, 'large' if small else 'x-large'
    if offer.group:
        yield offer.group, 'medium'
    if not offer.last_backup:
        yield _('nothing saved yet'), 'medium'
    elif small:
        yield words.entries(offer.entries), 'medium'
        yield words.when(offer.last_backup), 'medium'
    else:
        yield _('%(entries)s, last saved %(when)s') % {
            'entries': words.entries(offer.entries), 'when': words.when(offer.last_backup)}, 'medium'


def _label(text='', size='large', width=_LINE):
    label = Gtk.Label(justify=Gtk.Justification.CENTER, wrap=True, wrap_mode=Pango.WrapMode.WORD_CHAR,
                      max_width_chars=width)
    label.set_markup('<span size="%s">%s</span>' % (size, GLib.markup_escape_text(text)))
    return label
