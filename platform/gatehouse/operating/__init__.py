"""What operators do where it takes more than one room: held against published versions, decided, stored and told of."""
