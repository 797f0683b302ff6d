# Every stage once, to see that all of them work.
. $here/excerpt.sh
configs+=($here/toy.yaml)
prepare=(--valid-speakers 3) pieces=(--seconds 0.5) steps=4
