# What a careful rival would do: the whole index in one commit, by Sugar's own
# TermGenerator, of metadata read by Sugar's own reader. It prints the seconds.
import os
import sys
import time

import dbus
import xapian
from carquinyol import indexstore, metadatareader

root, out = sys.argv[1:]


def retrieve(path):
    properties = metadatareader.retrieve(path, None)
    for key, value in properties.items():
        if key in ('filesize', 'creation_time', 'timestamp'):
            properties[key] = dbus.Int32(value)
        elif key != 'preview':
            properties[key] = dbus.String(value.decode())
    return properties


start = time.time()
database = xapian.WritableDatabase(out, xapian.DB_CREATE_OR_OPEN)
for folder in os.listdir(root):
    path = os.path.join(root, folder)
    if len(folder) != 2 or not os.path.isdir(path):
        continue
    for uid in os.listdir(path):
        if len(uid) != 36:
            continue
        document = xapian.Document()
        document.add_value(0, uid)
        indexstore.TermGenerator().index_document(document, retrieve(os.path.join(path, uid, 'metadata')))
        database.add_document(document)
database.commit()
database.close()
print(time.time() - start)
