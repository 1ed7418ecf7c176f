package main

import (
	"errors"
	"path/filepath"
)

// places are our folders.
type places struct{ state, cache string }

func findPlaces(getenv func(string) string) (places, error) {
	data, err := xdg(getenv, "XDG_DATA_HOME", ".local/share")
	if err != nil {
		return places{}, err
	}
	cache, err := xdg(getenv, "XDG_CACHE_HOME", ".cache")
	return places{state: filepath.Join(data, "xo-backupd"), cache: filepath.Join(cache, "xo-backupd")}, err
}

// xdg finds a base folder. One that is not absolute counts as unset, as the XDG
// specification wants.
func xdg(getenv func(string) string, name, below string) (string, error) {
	if dir := getenv(name); filepath.IsAbs(dir) {
		return dir, nil
	}
	home := getenv("HOME")
	if home == "" {
		return "", errors.New("neither " + name + " nor HOME is set")
	}
	return filepath.Join(home, below), nil
}
