// Command sumdb_check reads a log as static files and judges it with the note
// and tlog packages of Go's checksum database, which share no code with tagtrail.
//
// It expects in the folder given as its argument: vkey, checkpoint.old and
// checkpoint.new, the tiles under tile/, and check.json. It prints what it found
// and ends with status 1 at the first disagreement.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

type check struct {
	Origin      string
	Skey        string
	Records     []record
	Consistency [][]byte
	GoSum       string // A checkpoint whose origin is the one that tlog.ParseTree insists on.
}

type record struct {
	Index int64
	Entry []byte
	Path  [][]byte
}

// folder serves the tiles of a log; its paths name no height.
type folder string

func (f folder) Height() int { return height }

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(string(f), path))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

func must(err error, what string) {
	if err != nil {
		fmt.Printf("%s: %v\n", what, err)
		os.Exit(1)
	}
}

func refuse(err error, what string) {
	if err == nil {
		fmt.Printf("%s: accepted\n", what)
		os.Exit(1)
	}
}

// openTree verifies a signed checkpoint and returns its tree.
func openTree(data []byte, origin, vkey string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != origin {
		return tlog.Tree{}, errors.New("not a checkpoint of " + origin)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

func hashes(list [][]byte) []tlog.Hash {
	all := make([]tlog.Hash, len(list))
	for i, data := range list {
		copy(all[i][:], data)
	}
	return all
}

func checkRecords(c check, tree tlog.Tree, reader tlog.HashReader) {
	for _, r := range c.Records {
		what := fmt.Sprintf("entry %d", r.Index)
		proof, leaf := hashes(r.Path), tlog.RecordHash(r.Entry)
		must(tlog.CheckRecord(proof, tree.N, tree.Hash, r.Index, leaf), what)
		own, err := tlog.ProveRecord(tree.N, r.Index, reader)
		must(err, what+" proven here")
		if fmt.Sprint(own) != fmt.Sprint(tlog.RecordProof(proof)) {
			must(errors.New("proofs differ"), what)
		}
		stored, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, r.Index)})
		must(err, what+" out of its tile")
		if stored[0] != leaf {
			must(errors.New("tile holds another leaf"), what)
		}
		refuse(tlog.CheckRecord(proof, tree.N, tree.Hash, r.Index, tlog.Hash{}), what+", other leaf")
		proof[0][0] ^= 1
		refuse(tlog.CheckRecord(proof, tree.N, tree.Hash, r.Index, leaf), what+", changed proof")
	}
}

func checkGrowth(c check, older, newer tlog.Tree, reader tlog.HashReader) {
	proof := hashes(c.Consistency)
	must(tlog.CheckTree(proof, newer.N, newer.Hash, older.N, older.Hash), "consistency")
	own, err := tlog.ProveTree(newer.N, older.N, reader)
	must(err, "consistency proven here")
	if fmt.Sprint(own) != fmt.Sprint(tlog.TreeProof(proof)) {
		must(errors.New("proofs differ"), "consistency")
	}
	refuse(tlog.CheckTree(proof, newer.N, newer.Hash, older.N, newer.Hash), "other old root")
}

func main() {
	dir := os.Args[1]
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, name))
		must(err, name)
		return data
	}
	vkey := string(read("vkey"))
	var c check
	must(json.Unmarshal(read("check.json"), &c), "check.json")

	older, err := openTree(read("checkpoint.old"), c.Origin, vkey)
	must(err, "checkpoint.old")
	newer, err := openTree(read("checkpoint.new"), c.Origin, vkey)
	must(err, "checkpoint.new")
	forged := bytes.Replace(read("checkpoint.new"), []byte("\n"), []byte("x\n"), 1)
	_, err = openTree(forged, c.Origin, vkey)
	refuse(err, "forged checkpoint")

	verifier, err := note.NewVerifier(vkey)
	must(err, "vkey")
	opened, err := note.Open([]byte(c.GoSum), note.VerifierList(verifier))
	must(err, "checkpoint for ParseTree")
	parsed, err := tlog.ParseTree([]byte(opened.Text))
	must(err, "ParseTree")
	if parsed != newer || string(tlog.FormatTree(parsed)) != opened.Text {
		must(errors.New("another tree"), "ParseTree")
	}

	// This reader accepts only tiles that lead to the signed root.
	reader := tlog.TileHashReader(newer, folder(dir))
	root, err := tlog.TreeHash(newer.N, reader)
	must(err, "root out of tiles")
	if root != newer.Hash {
		must(errors.New("another root"), "root out of tiles")
	}
	checkRecords(c, newer, reader)
	checkGrowth(c, older, newer, reader)

	signer, err := note.NewSigner(c.Skey)
	must(err, "skey")
	signed, err := note.Sign(&note.Note{Text: opened.Text}, signer)
	must(err, "sign")
	fmt.Printf("agrees: %d records, sizes %d and %d\n", len(c.Records), older.N, newer.N)
	fmt.Println(base64.StdEncoding.EncodeToString(signed))
}
