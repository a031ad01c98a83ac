package sqlstore

import (
	"context"
	"database/sql"
	"time"
)

// Queries are the texts whose plans must not depend on the size of a table, with
// lists of three.
func Queries() map[string]string {
	three := func(from int) string { return list(from, 3) }
	return map[string]string{
		"sourcePage":    sourcePage,
		"forgetSource":  forgetSource + three(3),
		"targetPage":    targetPage,
		"verifyTags":    verifyTags + three(4),
		"forgetTags":    forgetTags + three(3),
		"addLocations":  fill(addLocations, three(3)),
		"locate":        locate + three(4),
		"has":           has + three(3),
		"forget":        fill(forget, three(3)),
		"checked":       checked + three(3),
		"subjects":      subjects + three(3),
		"mark":          mark,
		"referring":     referrers,
		"forgetSubj":    forgetSubjects + three(3),
		"learned":       learned,
		"refusals":      refusals,
		"uploads":       uploads,
		"dropUpload":    dropUpload,
		"lockRow":       lockRow,
		"lockKey":       lockKey,
		"saveRow":       saveRow,
		"rulePasses":    rulePasses,
		"prunePasses":   prunePasses,
		"pruneWork":     pruneWork,
		"aheadRows":     aheadRows,
		"aheadPasses":   aheadPasses,
		"endPass":       endPass,
		"interrupt":     interruptPasses,
		"itemsSince":    itemsSince,
		"dropItems":     dropItems,
		"ruleItems":     ruleItems,
		"readDetail":    readDetail,
		"waitingPasses": waitingPasses,
		"dropPassJobs":  dropPassJobs,
		"tellPass":      tellPass,
	}
}

// Ordered are the texts that read in the order of an index, and stop there.
func Ordered() map[string]string {
	return map[string]string{"queueRows": queueRows, "dueRows": dueRows, "nextTurn": nextTurn, "nextDue": nextDue, "runningRows": runningRows, "queueDepth": queueDepth, "allPasses": allPasses}
}

// Through has the store ask by other pools, which the caller closes first.
func (s *Store) Through(read, write *sql.DB) { s.e.Read, s.e.Write = read, write }

// Pools are those that it asks by.
func (s *Store) Pools() (read, write *sql.DB) { return s.e.Read, s.e.Write }

// Clock has the store go by another clock.
func (s *Store) Clock(now func() time.Time) {
	s.e.Now = func(context.Context, *sql.Tx) (time.Time, error) { return now(), nil }
}
