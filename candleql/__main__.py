from candleql.cli import main

main()
