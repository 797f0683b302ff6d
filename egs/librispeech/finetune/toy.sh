# Every stage once, to see that all of them work.
. $here/excerpt.sh
suffix=toy configs+=($here/toy.yaml)
