package fs

import "os"

// openFlags is empty: pipes have no names in Windows' folders.
const openFlags = 0

// checkLink refuses a link that Windows would follow.
func checkLink(name string) error {
	info, err := os.Lstat(name)
	if err != nil || kindOf(info.Mode()) == Plain {
		return nil // the open reports the error
	}
	return &KindError{Path: name, Kind: kindOf(info.Mode())}
}

func (f osFile) Named() error {
	own, err := f.Stat()
	if err != nil {
		return err
	}
	return leadsTo(os.Lstat, f.Name(), own)
}
