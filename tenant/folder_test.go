package tenant

import (
	"strings"
	"testing"
)

func TestTenantFolders(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, id := range []string{"t1", "T1", "team-a_2", "con", "COM1", "com1", "com12", "a.b", "x.", "a*", "(!')", "...", strings.Repeat("X", MaxLength), strings.Repeat("x", MaxLength)} {
		name := Folder(id)
		if other, taken := seen[strings.ToLower(name)]; taken || len(name) > 255 || isDevice(name) || strings.ContainsAny(name, `*.<>:"/\|?`) {
			t.Errorf("the folder of %q is %q, that of %q too", id, name, other)
		}
		seen[strings.ToLower(name)] = id
		if got, ok := OfFolder(name); !ok || got != id {
			t.Errorf("the tenant of folder %q is %q, %v; want %q", name, got, ok, id)
		}
	}
	for _, name := range []string{"", "=", "T1", "con", "a.b", "=!", Folder("A") + "0", "single-tenant", "=" + folderCode.EncodeToString([]byte("t1")), "=" + folderCode.EncodeToString([]byte("t/1"))} {
		if id, ok := OfFolder(name); ok {
			t.Errorf("folder %q is said to be that of %q", name, id)
		}
	}
}

func FuzzTenantFolder(f *testing.F) {
	f.Add("t1")
	f.Add("=c4")
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := ForWrite([]string{text}); err == nil && id != Single {
			if got, ok := OfFolder(Folder(id)); !ok || got != id {
				t.Fatalf("%q becomes %q, %v", id, got, ok)
			}
		}
		if id, ok := OfFolder(text); ok && Folder(id) != text {
			t.Fatalf("folder %q is of %q, whose folder is %q", text, id, Folder(id))
		}
	})
}
