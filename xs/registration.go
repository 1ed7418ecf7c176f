package xs

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/sugarlabs/xo-backupd/wire"
	"github.com/sugarlabs/xo-backupd/xs/store"
)

const maxRegistration = 64 << 10

// registrationHandler serves Sugar's XML-RPC, at any path as the old one did.
func (r *running) registrationHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "laptops register here by XML-RPC", http.StatusMethodNotAllowed)
			return
		}
		method, params, err := wire.DecodeCall(http.MaxBytesReader(w, req.Body, maxRegistration))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		b, err := r.answer(req, method, params)
		if err != nil {
			r.Log.Error("registration", "error", err)
			http.Error(w, "internal error", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/xml")
		w.Write(b)
	})
}

// Fault codes of the XML-RPC interoperability list.
const (
	faultMethod = -32601
	faultParams = -32602
)

func (r *running) answer(req *http.Request, method string, params []any) ([]byte, error) {
	if method != "register" {
		return wire.EncodeFault(&wire.Fault{Code: faultMethod, Message: "there is only register here"}), nil
	}
	var text [4]string
	ok := len(params) == len(text)
	for i := range params {
		if ok {
			text[i], ok = params[i].(string)
		}
	}
	if !ok {
		return wire.EncodeFault(&wire.Fault{Code: faultParams, Message: "register wants four strings: serial, nick, uuid, public key"}), nil
	}
	id, err := r.register(req.Context(), text[0], text[1], text[2], text[3])
	if err != nil {
		r.Log.Warn("registration refused", "serial", text[0], "from", req.RemoteAddr, "error", err)
		return wire.EncodeResponse(map[string]any{"success": "ERR", "error": tell(err)})
	}
	r.Log.Info("registered", "account", id, "serial", text[0], "from", req.RemoteAddr)
	host := hostOf(req)
	at := host
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
		at = "[" + host + "]"
	}
	return wire.EncodeResponse(map[string]any{
		"success":      "OK",
		"backupurl":    string(id) + "@" + at + ":backup",
		"jabberserver": host,
	})
}

func (r *running) register(ctx context.Context, serial, nick, uuid, pubkey string) (store.AccountID, error) {
	s, err := store.ParseSerial(serial)
	if err != nil {
		return "", err
	}
	key, err := store.ParseKey(pubkey)
	if err != nil {
		return "", &store.NameError{What: "public key", Name: pubkey, Why: err.Error()}
	}
	return r.Store.Register(ctx, store.Registration{Serial: s, UUID: uuid, Nick: nick, Key: key}, r.Config.MaxAccounts)
}

// tell is what may be said of an error to anybody.
func tell(err error) string {
	var bad *store.NameError
	if errors.As(err, &bad) || errors.Is(err, store.ErrOtherKey) || errors.Is(err, store.ErrFull) {
		return err.Error()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "the school server is busy; please try again in a moment"
	}
	return "the school server could not do it; its log says why"
}
