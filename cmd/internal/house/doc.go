// Package house is the rules of the house, as tests.
//
// Some rules of this project cannot be seen from inside one package: which package may import which, that every package
// opens with a page about itself, that no file grows beyond reading, that every link in the texts leads somewhere and
// every test that SECURITY.md promises exists. They are written down here as tables with a reason a line, and run by
// go test like everything else. Each rule has a test that it bites: it is shown something bad and must refuse it.
//
// The package has no code outside its tests, and nothing imports it.
package house
